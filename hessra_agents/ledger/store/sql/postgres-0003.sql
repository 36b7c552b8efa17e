-- The name that a capability's holder goes by, where a delegation gave one, and whether anyone vouches for it.

alter table capability add column known_as bytea;
alter table capability add column vouched boolean not null default true;
