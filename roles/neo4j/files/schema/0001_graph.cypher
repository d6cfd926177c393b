// The first graph: what is traded where, by whom, and which ways lead from one place to another.
// (:Instrument)-[:LISTED_ON]->(:Exchange), (:Account)-[:HELD_AT]->(:Exchange), (:Route)-[:FROM|TO]->(:Exchange).
// Services own it from here on, migrations too.
CREATE CONSTRAINT exchange_code IF NOT EXISTS FOR (n:Exchange) REQUIRE n.code IS UNIQUE;
CREATE CONSTRAINT instrument_symbol IF NOT EXISTS FOR (n:Instrument) REQUIRE n.symbol IS UNIQUE;
CREATE CONSTRAINT account_id IF NOT EXISTS FOR (n:Account) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT route_id IF NOT EXISTS FOR (n:Route) REQUIRE n.id IS UNIQUE;

CREATE INDEX exchange_country IF NOT EXISTS FOR (n:Exchange) ON (n.country);
CREATE INDEX instrument_kind IF NOT EXISTS FOR (n:Instrument) ON (n.kind);
CREATE INDEX account_owner IF NOT EXISTS FOR (n:Account) ON (n.owner);
CREATE INDEX route_venue IF NOT EXISTS FOR (n:Route) ON (n.venue);
CREATE INDEX listing_since IF NOT EXISTS FOR ()-[r:LISTED_ON]-() ON (r.since);
