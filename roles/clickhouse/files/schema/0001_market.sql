-- Market data as it comes from the venues: every trade, every change of an order book, and bars made from the trades.
-- ORDER BY starts with what every query names (venue, instrument), then time; one partition per day drops old data whole.

CREATE DATABASE IF NOT EXISTS market;

CREATE TABLE IF NOT EXISTS market.trades
(
    venue LowCardinality(String),
    instrument LowCardinality(String),
    traded_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    trade_id String,
    price Decimal(38, 12),
    quantity Decimal(38, 12),
    aggressor Enum8('unknown' = 0, 'buy' = 1, 'sell' = 2)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(traded_at)
ORDER BY (venue, instrument, traded_at, trade_id)
TTL toDateTime(traded_at) + INTERVAL 730 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS market.book_changes
(
    venue LowCardinality(String),
    instrument LowCardinality(String),
    changed_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    received_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    sequence UInt64 CODEC(Delta, ZSTD),
    side Enum8('bid' = 1, 'ask' = 2),
    price Decimal(38, 12),
    quantity Decimal(38, 12)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(changed_at)
ORDER BY (venue, instrument, changed_at, sequence)
TTL toDateTime(changed_at) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS market.bars_1m
(
    venue LowCardinality(String),
    instrument LowCardinality(String),
    minute DateTime('UTC'),
    open AggregateFunction(argMin, Decimal(38, 12), DateTime64(9, 'UTC')),
    high SimpleAggregateFunction(max, Decimal(38, 12)),
    low SimpleAggregateFunction(min, Decimal(38, 12)),
    close AggregateFunction(argMax, Decimal(38, 12), DateTime64(9, 'UTC')),
    volume SimpleAggregateFunction(sum, Decimal(38, 12)),
    trades SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (venue, instrument, minute);

CREATE MATERIALIZED VIEW IF NOT EXISTS market.trades_to_bars_1m TO market.bars_1m AS
SELECT
    venue,
    instrument,
    toStartOfMinute(toDateTime(traded_at, 'UTC')) AS minute,
    argMinState(price, traded_at) AS open,
    max(price) AS high,
    min(price) AS low,
    argMaxState(price, traded_at) AS close,
    sum(quantity) AS volume,
    count() AS trades
FROM market.trades
GROUP BY venue, instrument, minute;
