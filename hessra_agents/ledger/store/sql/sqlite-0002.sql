-- What the key of a log vouches for: that its process wrote a record, what it signed, and what was pruned.

alter table entry add column mac blob;   -- of the index and the body, under a key from the log's folder

create table checkpoint (
    log integer primary key,
    verifier text not null,   -- the key that signed it, for a reader that has this key from elsewhere
    note text not null        -- the last one
) strict;
create table pruned (
    log integer not null,
    upto integer not null,    -- the first record that is still there
    note text not null,       -- says so, signed by the log's key
    primary key (log, upto)
) strict, without rowid;
