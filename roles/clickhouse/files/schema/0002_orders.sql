-- Every event in the life of an order, and the newest state of each order.
-- Kept for ten years: what a market's supervisor may ask for. One partition per month.

CREATE DATABASE IF NOT EXISTS orders;

CREATE TABLE IF NOT EXISTS orders.events
(
    instrument LowCardinality(String),
    account_id UInt64,
    order_id UUID,
    sequence UInt64 CODEC(Delta, ZSTD),
    happened_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    event Enum8('accepted' = 1, 'replaced' = 2, 'cancelled' = 3, 'filled' = 4, 'expired' = 5, 'rejected' = 6),
    side Enum8('buy' = 1, 'sell' = 2),
    kind Enum8('limit' = 1, 'market' = 2, 'stop' = 3),
    time_in_force LowCardinality(String),
    price Nullable(Decimal(38, 12)),
    quantity Decimal(38, 12),
    open_quantity Decimal(38, 12),
    reason LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(happened_at)
ORDER BY (instrument, account_id, order_id, sequence)
TTL toDateTime(happened_at) + INTERVAL 3653 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS orders.latest
(
    account_id UInt64,
    order_id UUID,
    sequence UInt64,
    instrument LowCardinality(String),
    happened_at DateTime64(9, 'UTC'),
    event Enum8('accepted' = 1, 'replaced' = 2, 'cancelled' = 3, 'filled' = 4, 'expired' = 5, 'rejected' = 6),
    open_quantity Decimal(38, 12)
)
ENGINE = ReplacingMergeTree(sequence)
ORDER BY (account_id, order_id)
TTL toDateTime(happened_at) + INTERVAL 90 DAY DELETE WHERE event IN ('cancelled', 'filled', 'expired', 'rejected');

CREATE MATERIALIZED VIEW IF NOT EXISTS orders.events_to_latest TO orders.latest AS
SELECT account_id, order_id, sequence, instrument, happened_at, event, open_quantity
FROM orders.events;
