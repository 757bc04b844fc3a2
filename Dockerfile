# Two images from one build: `postgres` with the extension installed and preloaded, and `sheetd`, the local Sheets server.

ARG PG_MAJOR=15

FROM node:22-bookworm-slim AS page
WORKDIR /page
COPY crates/sheetd/page .
RUN ./build.sh

FROM rust:1-bookworm AS build
ARG PG_MAJOR
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang libclang-dev postgresql-common ca-certificates \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install -y --no-install-recommends postgresql-server-dev-${PG_MAJOR} \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=page /page/dist crates/sheetd/page/dist
RUN cargo install --locked cargo-pgrx --version "$(sed -n 's/^pgrx = "\(=.*\)"/\1/p' Cargo.toml)" \
    && cargo pgrx init --pg${PG_MAJOR} /usr/lib/postgresql/${PG_MAJOR}/bin/pg_config
RUN cargo pgrx package --no-default-features --features pg${PG_MAJOR} --out-dir /out \
        --pg-config /usr/lib/postgresql/${PG_MAJOR}/bin/pg_config \
    && cargo build --release -p sheetd --bin sheetd

FROM debian:bookworm-slim AS sheetd
COPY --from=build /src/target/release/sheetd /usr/local/bin/sheetd
VOLUME /data
EXPOSE 8787
ENTRYPOINT ["sheetd"]

FROM postgres:${PG_MAJOR}-bookworm AS postgres
COPY --from=build /out/ /
CMD ["postgres", "-c", "shared_preload_libraries=sheet_sync"]
