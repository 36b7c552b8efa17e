-- name: state
select epoch, purged from state
-- name: lock_state
select epoch, purged from state
-- name: purged
update state set purged = max(purged, ?1)

-- name: known_revocation
select epoch from revocation where kind = ?1 and target = ?2
-- name: next_epoch
update state set epoch = epoch + 1 returning epoch
-- name: revoke
insert into revocation (epoch, kind, target, words, reason, at) values (?1, ?2, ?3, ?4, ?5, ?6)
-- name: hint
select 1
-- name: feed
select epoch, kind, target from revocation where epoch > ?1 and epoch <= ?2 order by epoch
-- name: revocations
select epoch, kind, words, reason, at from revocation order by epoch desc limit ?1
-- name: reach
select count(*), count(distinct holder) from capability
where expires > ?2 and name in (select name from capability_mark where mark = ?1)
-- name: reach_before
select count(*), count(distinct holder) from capability where expires > ?2 and (issued is null or issued < ?1)
-- name: reach_requests
select count(*) from request
where state = 'open' and expires > ?2 and capability in (select name from capability_mark where mark = ?1)
-- name: reach_requests_before
select count(*) from request join capability on capability.name = request.capability
where state = 'open' and request.expires > ?2 and (issued is null or issued < ?1)

-- name: spend
insert into spent (kind, name, until) values (?1, ?2, ?3) on conflict do nothing returning 1
-- name: used
select coalesce(sum(amount), 0) from used where counter = ?1 and slot >= ?2
-- name: charge
insert into used (counter, slot, amount, until) values (?1, ?2, ?3, ?4)
on conflict (counter, slot) do update set amount = used.amount + excluded.amount
-- name: refundable
insert into refundable (op, counter, slot, amount, until) values (?1, ?2, ?3, ?4, ?5)
on conflict (op, counter) do update set amount = refundable.amount + excluded.amount
-- name: refund
delete from refundable where op = ?1 returning counter, slot, amount
-- name: give_back
update used set amount = amount - ?3 where counter = ?1 and slot = ?2

-- name: capability
insert into capability (name, subject, holder, issued, expires, known_as, vouched)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
on conflict do nothing returning 1
-- name: mark
insert into capability_mark (mark, name) values (?1, ?2) on conflict do nothing
-- name: delegate
select 1 from capability_mark as built join capability_mark as held on held.name = built.name
where built.mark = ?1 and held.mark = ?2 limit 1

-- name: ask
insert into request (id, call, chain, capability, body, expires, asked, state)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'open') on conflict do nothing
-- name: asked
select id, body, state from request
where call = ?1 and chain = ?2 and state <> 'used' and expires > ?3 order by asked desc limit 1
-- name: open_requests
select id, body, state from request where state = 'open' and expires > ?1 order by asked, id limit 1000
-- name: request
select id, body, state from request where id = ?1
-- name: votes
select key, statement from vote where request = ?1 order by key
-- name: vote
insert into vote (request, key, statement) values (?1, ?2, ?3)
on conflict (request, key) do update set statement = excluded.statement
-- name: settle
update request set state = ?2 where id = ?1 and state = 'open'
-- name: use_request
update request set state = 'used' where call = ?1 and chain = ?2 and state = 'open'
-- name: approvals
select key, statement from vote join request on request.id = vote.request
where request.call = ?1 and request.chain = ?2 and state = 'open' and expires > ?3 and statement like 'ha1.%'

-- name: log
insert into log (origin) values (?1) on conflict (origin) do update set origin = excluded.origin returning id
-- name: log_of
select id from log where origin = ?1
-- name: logs
select id, origin from log order by id
-- name: size
select coalesce(max(idx) + 1, 0) from entry where log = ?1
-- name: entry
insert into entry (log, idx, op, kind, body, opening, mac) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
-- name: entry_of
select 1 from entry where log = ?1 and op = ?2 and kind = ?3
-- name: entries
select idx, op, kind, body, opening, mac from entry where log = ?1 and idx >= ?2 and idx < ?3 order by idx
-- name: events
select idx, op, kind, body, opening, mac from entry
where log = ?1 and idx >= ?2 and idx < ?3 and kind <> 'outcome' order by idx desc
-- name: of_operation
select idx, op, kind, body, opening, mac from entry where log = ?1 and op = ?2 and kind = ?3
-- name: tile
insert into tile (log, level, idx, hashes) values (?1, ?2, ?3, ?4) on conflict do nothing
-- name: tile_of
select hashes from tile where log = ?1 and level = ?2 and idx = ?3
-- name: checkpoint
insert into checkpoint (log, verifier, note) values (?1, ?2, ?3)
on conflict (log) do update set verifier = excluded.verifier, note = excluded.note
-- name: checkpoints
select origin, verifier, note from checkpoint join log on log.id = checkpoint.log order by log.id
-- name: pruned
insert into pruned (log, upto, note) values (?1, ?2, ?3)
on conflict (log, upto) do update set note = excluded.note
-- name: prunings
select upto, note from pruned where log = ?1 order by upto
-- name: first
select coalesce(min(idx), 0) from entry where log = ?1
-- name: prune
delete from entry where log = ?1 and idx >= ?2 and idx < ?3 returning 1
-- name: erase
update entry set opening = null where log = ?1 and idx = ?2 and opening is not null returning 1

-- name: clock
select null
-- name: forget_turn
select 1 from state
-- name: forget_spent
delete from spent where (kind, name) in (select kind, name from spent where until <= ?1 order by until limit ?2)
returning kind, name
-- name: forget_used
delete from used
where (counter, slot) in (select counter, slot from used where until <= ?1 order by until limit ?2)
returning 1
-- name: forget_refundable
delete from refundable
where (op, counter) in (select op, counter from refundable where until <= ?1 order by until limit ?2)
returning 1
-- name: forget_marks
delete from capability_mark
where name in (select name from capability where expires <= ?1 order by expires limit ?2)
-- name: forget_capabilities
delete from capability
where name in (select name from capability where expires <= ?1 order by expires limit ?2)
returning 1
-- name: forget_votes
delete from vote where request in (
    select id from request
    where state in ('open', 'rejected', 'used') and expires <= ?1 order by expires limit ?2
)
-- name: forget_requests
delete from request where id in (
    select id from request
    where state in ('open', 'rejected', 'used') and expires <= ?1 order by expires limit ?2
)
returning 1


-- name: revocation_of
select epoch, kind, words, reason, at from revocation
where kind in ('block', 'subject', 'key', 'root') and target = ?1
-- name: revoked_before
select epoch, kind, words, reason, at from revocation where kind = 'before' and target > ?1 order by epoch limit 1
-- name: counters
select count(distinct counter) from used where until > ?1
-- name: seen
select name, subject, holder, issued, expires, known_as, vouched from capability
where expires > ?1 order by expires desc, name limit ?2
-- name: seen_below
select name, subject, holder, issued, expires, known_as, vouched from capability
where expires > ?2 and name in (select name from capability_mark where mark = ?1)
order by expires desc, name limit ?3
-- name: marks_of
select mark from capability_mark where name = ?1
