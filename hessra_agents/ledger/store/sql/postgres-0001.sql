-- What every guard of this ledger shares. Times are Unix seconds.

create table state (
    one integer primary key check (one = 1),
    epoch bigint not null,   -- how many revocations there are
    purged bigint not null   -- statements that ended by then may have been forgotten
);
insert into state values (1, 0, 0);

create table revocation (
    epoch bigint primary key,
    kind text collate "C" not null,
    target bytea not null,
    words text collate "C" not null,
    reason text collate "C" not null,
    at bigint not null,
    unique (kind, target)
);

create table spent (
    kind text collate "C" not null,
    name bytea not null,
    until bigint not null,
    primary key (kind, name)
);
create index spent_until on spent (until);

create table used (
    counter bytea not null,
    slot bigint not null,
    amount bigint not null check (amount >= 0),
    until bigint not null,
    primary key (counter, slot)
);
create index used_until on used (until);

create table refundable (
    op bytea not null,
    counter bytea not null,
    slot bigint not null,
    amount bigint not null check (amount >= 0),
    until bigint not null,
    primary key (op, counter)
);
create index refundable_until on refundable (until);

create table capability (
    name bytea primary key,
    subject bytea not null,
    holder bytea,
    issued bigint,
    expires bigint not null
);
create index capability_expires on capability (expires);
create table capability_mark (
    mark bytea not null,
    name bytea not null,
    primary key (mark, name)
);
create index capability_mark_name on capability_mark (name);

create table request (
    id text collate "C" primary key,
    call bytea not null,
    chain bytea not null,
    capability bytea not null,
    body bytea not null,
    expires bigint not null,
    asked bigint not null,
    state text collate "C" not null check (state in ('open', 'rejected', 'used'))
);
create index request_call on request (call, chain);
create index request_state on request (state, expires);
create table vote (
    request text collate "C" not null,
    key text collate "C" not null,
    statement text collate "C" not null,
    primary key (request, key)
);

create table log (
    id bigint generated always as identity primary key,
    origin text collate "C" not null unique
);
create table entry (
    log bigint not null,
    idx bigint not null,
    op bytea not null,
    kind text collate "C" not null,
    body bytea not null,
    opening bytea,
    primary key (log, idx)
);
create unique index entry_op on entry (op, kind);
create table tile (
    log bigint not null,
    level bigint not null,
    idx bigint not null,
    hashes bytea not null,
    primary key (log, level, idx)
);
