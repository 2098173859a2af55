-- Text as searches compare it: without case, accents and width, Müller as muller, Łódź as lodz, Ａ as a. `return` instead of a quoted
-- body, so that it can be inlined: it is called for every row that a search looks at. ASCII has nothing to fold but case.
create or replace function kernel.fold(x text) returns text
language sql immutable parallel safe
return case when pg_catalog.octet_length(x) = pg_catalog.length(x) then pg_catalog.lower(x)
  else pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.translate(
    pg_catalog.regexp_replace(pg_catalog.lower(pg_catalog.normalize(x, 'NFKD')), '[\u0300-\u036f]', '', 'g'),
    'øłđðħıŧ', 'olddhit'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th') end;
grant execute on function kernel.fold(text) to overture_user, overture_worker;
