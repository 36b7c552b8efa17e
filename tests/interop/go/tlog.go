// Checks an export of a log with Go's own implementation of transparency logs, and makes proofs of its own
// for us to check: see ../tlog.py, which runs it.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run tlog.go FOLDER
//
// FOLDER/export is the export, FOLDER/vkey the log's key, FOLDER/records/N our proof of record N, FOLDER/older/N
// an older checkpoint and FOLDER/extends/N our proof that the export extends it. What Go makes of the same log
// goes to FOLDER/go. The output is how many checks passed; the first that fails ends it.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var passed int

func main() {
	log.SetFlags(0)
	folder := os.Args[1]
	key := strings.TrimSpace(string(read(folder, "vkey")))
	origin, tree := checkpoint(read(folder, "export", "checkpoint"), key)
	tiles := tlog.TileHashReader(tree, files(filepath.Join(folder, "export")))
	hashes := records(filepath.Join(folder, "export"), tree, tiles)
	if err := os.MkdirAll(filepath.Join(folder, "go"), 0o700); err != nil {
		log.Fatal(err)
	}
	for _, name := range names(folder, "records") {
		inclusion(folder, name, tree, tiles, hashes)
	}
	for _, name := range names(folder, "older") {
		consistency(folder, name, key, tree, tiles)
	}
	sign(folder, origin, tree)
	fmt.Println(passed)
}

// checkpoint opens a note with one known key, and reads the tree that it names.
func checkpoint(data []byte, key string) (string, tlog.Tree) {
	verifier, err := note.NewVerifier(key)
	must(err)
	opened, err := note.Open(data, note.VerifierList(verifier))
	must(err)
	lines := strings.SplitN(opened.Text, "\n", 2)
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + lines[1])) // the only origin it knows
	must(err)
	flipped := append([]byte{}, data...)
	flipped[0] ^= 1
	_, err = note.Open(flipped, note.VerifierList(verifier))
	refused(err, "a changed note")
	return lines[0], tree
}

// records holds every record against its hash in the tiles, which the reader holds against the root.
func records(folder string, tree tlog.Tree, tiles tlog.HashReader) []tlog.Hash {
	var hashes []tlog.Hash
	for start := int64(0); start < tree.N; start += 1 << height {
		width := tree.N - start
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: 0, N: start >> height, W: int(width)}
		bundle := read(folder, strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1))
		var indexes []int64
		for at := int64(0); at < width; at++ {
			length := int(binary.BigEndian.Uint16(bundle))
			hashes = append(hashes, tlog.RecordHash(bundle[2:2+length]))
			bundle = bundle[2+length:]
			indexes = append(indexes, tlog.StoredHashIndex(0, start+at))
		}
		if len(bundle) != 0 {
			log.Fatalf("bundle %d has more than its records", start)
		}
		stored, err := tiles.ReadHashes(indexes)
		must(err)
		for at, hash := range stored {
			same(hash == hashes[start+int64(at)], "the hash of a record")
		}
	}
	root, err := tlog.TreeHash(tree.N, tiles)
	must(err)
	same(root == tree.Hash, "the root")
	return hashes
}

func inclusion(folder, name string, tree tlog.Tree, tiles tlog.HashReader, hashes []tlog.Hash) {
	index, err := strconv.ParseInt(name, 10, 64)
	must(err)
	text := string(read(folder, "records", name))
	head := strings.Split(strings.SplitN(text, "\n\n", 2)[0], "\n")
	same(head[0] == "c2sp.org/tlog-proof@v1" && head[1] == "index "+name, "the head of a proof")
	proof := tlog.RecordProof(parsed(head[2:]))
	must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, hashes[index]))
	own, err := tlog.ProveRecord(tree.N, index, tiles)
	must(err)
	same(printed(own) == printed(proof), "a proof of inclusion")
	for at := range proof {
		proof[at][at] ^= 1
		refused(tlog.CheckRecord(proof, tree.N, tree.Hash, index, hashes[index]), "a changed proof")
		proof[at][at] ^= 1
	}
	write(folder, "inclusion-"+name, printed(own))
}

func consistency(folder, name, key string, tree tlog.Tree, tiles tlog.HashReader) {
	_, old := checkpoint(read(folder, "older", name), key)
	proof := tlog.TreeProof(parsed(strings.Fields(string(read(folder, "extends", name)))))
	must(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	own, err := tlog.ProveTree(tree.N, old.N, tiles)
	must(err)
	same(printed(own) == printed(proof), "a proof of consistency")
	for at := range proof {
		proof[at][at] ^= 1
		refused(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash), "a changed proof")
		proof[at][at] ^= 1
	}
	write(folder, "consistency-"+name, printed(own))
}

// sign has Go sign the same checkpoint with a key of its own.
func sign(folder, origin string, tree tlog.Tree) {
	secret, public, err := note.GenerateKey(rand.Reader, origin)
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, tree.N, tree.Hash)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err)
	write(folder, "vkey", public)
	write(folder, "note", string(signed))
}

// files reads tiles from an export.
type files string

func (f files) Height() int { return height }

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		data = append(data, read(string(f), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
	}
	return data, nil
}

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func parsed(lines []string) []tlog.Hash {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		must(err)
		hashes = append(hashes, hash)
	}
	return hashes
}

func printed(hashes []tlog.Hash) string {
	var text strings.Builder
	for _, hash := range hashes {
		text.WriteString(base64.StdEncoding.EncodeToString(hash[:]) + "\n")
	}
	return text.String()
}

func names(parts ...string) []string {
	entries, err := os.ReadDir(filepath.Join(parts...))
	if err != nil {
		log.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func read(parts ...string) []byte {
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		log.Fatal(err)
	}
	return data
}

func write(folder, name, text string) {
	if err := os.WriteFile(filepath.Join(folder, "go", name), []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
}

func must(err error) { same(err == nil, fmt.Sprint(err)) }

func refused(err error, what string) { same(err != nil, what+" is not refused") }

func same(holds bool, what string) {
	if !holds {
		log.Fatalf("FAILED: %s", what)
	}
	passed++
}
