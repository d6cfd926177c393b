-- What the matching engine matched: one row per fill, both sides named. Kept as long as the orders.

CREATE DATABASE IF NOT EXISTS matches;

CREATE TABLE IF NOT EXISTS matches.fills
(
    instrument LowCardinality(String),
    sequence UInt64 CODEC(Delta, ZSTD),
    matched_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    match_id UUID,
    maker_order_id UUID,
    taker_order_id UUID,
    maker_account_id UInt64,
    taker_account_id UInt64,
    aggressor Enum8('buy' = 1, 'sell' = 2),
    price Decimal(38, 12),
    quantity Decimal(38, 12),
    fee Decimal(38, 12),
    fee_currency LowCardinality(String),
    INDEX by_match match_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(matched_at)
ORDER BY (instrument, matched_at, sequence)
TTL toDateTime(matched_at) + INTERVAL 3653 DAY
SETTINGS ttl_only_drop_parts = 1;
