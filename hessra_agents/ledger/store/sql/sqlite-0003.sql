-- The name that a capability's holder goes by, where a delegation gave one, and whether anyone vouches for it.

alter table capability add column known_as blob;
alter table capability add column vouched integer not null default 1;
