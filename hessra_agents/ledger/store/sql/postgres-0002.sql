-- What the key of a log vouches for: that its process wrote a record, what it signed, and what was pruned.

alter table entry add column mac bytea;   -- of the index and the body, under a key from the log's folder

create table checkpoint (
    log bigint primary key,
    verifier text collate "C" not null,   -- the key that signed it, for a reader that has this key from elsewhere
    note text collate "C" not null        -- the last one
);
create table pruned (
    log bigint not null,
    upto bigint not null,                 -- the first record that is still there
    note text collate "C" not null,       -- says so, signed by the log's key
    primary key (log, upto)
);
