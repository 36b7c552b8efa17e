-- What every guard of this ledger shares. Times are Unix seconds.

create table state (
    one integer primary key check (one = 1),
    epoch integer not null,   -- how many revocations there are
    purged integer not null   -- statements that ended by then may have been forgotten
) strict;
insert into state values (1, 0, 0);

create table revocation (
    epoch integer primary key,
    kind text not null,
    target blob not null,
    words text not null,
    reason text not null,
    at integer not null,
    unique (kind, target)
) strict;

create table spent (
    kind text not null,
    name blob not null,
    until integer not null,
    primary key (kind, name)
) strict, without rowid;
create index spent_until on spent (until);

create table used (
    counter blob not null,
    slot integer not null,
    amount integer not null check (amount >= 0),
    until integer not null,
    primary key (counter, slot)
) strict, without rowid;
create index used_until on used (until);

create table refundable (
    op blob not null,
    counter blob not null,
    slot integer not null,
    amount integer not null check (amount >= 0),
    until integer not null,
    primary key (op, counter)
) strict, without rowid;
create index refundable_until on refundable (until);

create table capability (
    name blob primary key,
    subject blob not null,
    holder blob,
    issued integer,
    expires integer not null
) strict, without rowid;
create index capability_expires on capability (expires);
create table capability_mark (
    mark blob not null,
    name blob not null,
    primary key (mark, name)
) strict, without rowid;
create index capability_mark_name on capability_mark (name);

create table request (
    id text primary key,
    call blob not null,
    chain blob not null,
    capability blob not null,
    body blob not null,
    expires integer not null,
    asked integer not null,
    state text not null check (state in ('open', 'rejected', 'used'))
) strict, without rowid;
create index request_call on request (call, chain);
create index request_state on request (state, expires);
create table vote (
    request text not null,
    key text not null,
    statement text not null,
    primary key (request, key)
) strict, without rowid;

create table log (
    id integer primary key,
    origin text not null unique
) strict;
create table entry (
    log integer not null,
    idx integer not null,
    op blob not null,
    kind text not null,
    body blob not null,
    opening blob,
    primary key (log, idx)
) strict;  -- with rowid: its rows are long, and adding them at the end writes fewer pages
create unique index entry_op on entry (op, kind);
create table tile (
    log integer not null,
    level integer not null,
    idx integer not null,
    hashes blob not null,
    primary key (log, level, idx)
) strict, without rowid;
