"""The shape of a PostgreSQL ledger's tables, as facts from the catalog that mean the same in every version.

Nothing here is text that the server renders, such as ``pg_get_constraintdef`` or ``indexdef``: a newer
server may write that in another way, and what it counts as a constraint changes too (18 counts NOT NULL).
What a check or a default says is therefore not compared, only that it is there and on which columns.
"""

__all__ = ["SHAPE"]

_COLUMNS = """
array_to_string(array(
    select attname from unnest({}) with ordinality as key (number, place)
    left join pg_attribute on attrelid = {} and attnum = number order by place
), ',')
"""

# it is made of what stands here alone
SHAPE = f"""
with ours as (select * from pg_class where relnamespace = current_schema()::regnamespace)
select string_agg(fact, chr(10) order by fact collate "C") from (
    select concat_ws(' ', 'relation', relname, relkind, relrowsecurity) from ours
    where relkind not in ('i', 't')
    union all
    select concat_ws(
        ' ', 'column', relname, attname, typname, attnotnull, coalesce(collname, '-'), atthasdef,
        attidentity, attgenerated
    )
    from ours join pg_attribute on attrelid = ours.oid join pg_type on pg_type.oid = atttypid
    left join pg_collation on pg_collation.oid = attcollation
    where relkind not in ('i', 't', 'S') and attnum > 0 and not attisdropped
    union all
    select concat_ws(
        ' ', 'constraint', relname, contype, convalidated, condeferrable,
        {_COLUMNS.format("conkey", "conrelid")}, (select relname from pg_class where oid = confrelid)
    )
    from ours join pg_constraint on conrelid = ours.oid where contype in ('c', 'f', 'p', 'u', 'x')
    union all
    select concat_ws(
        ' ', 'index', relname, indisunique, indisvalid, indpred is null, indexprs is null,
        {_COLUMNS.format("indkey::int2[]", "indrelid")}
    )
    from ours join pg_index on indrelid = ours.oid
    union all
    select concat_ws(' ', 'trigger', relname, tgname) from ours join pg_trigger on tgrelid = ours.oid
    where not tgisinternal
    union all
    select concat_ws(' ', 'rule', relname, rulename) from ours join pg_rewrite on ev_class = ours.oid
    union all
    select concat_ws(' ', 'policy', relname, polname) from ours join pg_policy on polrelid = ours.oid
) facts (fact)
"""  # noqa: S608
"""Returns one text, a fact on each line, of the schema that comes first in the search path."""
