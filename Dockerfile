# Purser with its page, its solver and a Postgres inside: `docker run` alone works.
#
#   docker build --tag purser .
#   docker run --publish 127.0.0.1:7077:7077 --volume purser:/var/lib/purser purser

# 1. The page, and the solver's module as npm brings it. The Postgres binaries that
#    npm could bring too (optional) are not wanted: the image has Debian's.
FROM node:22-trixie-slim AS page
WORKDIR /src
COPY .npmrc package.json package-lock.json ./
RUN npm ci --omit=optional
COPY . .
WORKDIR /src/web
RUN npm ci && npm run build

# 2. The program.
FROM golang:1.26-trixie AS program
ARG VERSION=dev
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=page /src/node_modules/highs node_modules/highs
COPY --from=page /src/web/dist web/dist
RUN go generate ./optimizer/highs && \
    go build -ldflags "-s -w -X main.version=$VERSION" -o /purser ./cmd/purser

# 3. What runs. Purser starts Debian's Postgres itself, as its own user; the cluster
#    that the package would set up is not made.
FROM debian:trixie-slim
RUN apt-get update && \
    apt-get install --yes --no-install-recommends ca-certificates postgresql-common && \
    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf && \
    apt-get install --yes --no-install-recommends postgresql && \
    rm -rf /var/lib/apt/lists/*
RUN useradd --uid 7077 --home-dir /var/lib/purser --shell /usr/sbin/nologin purser && \
    install --directory --owner purser --group purser --mode 0700 /var/lib/purser /var/cache/purser
COPY --from=program /purser /usr/local/bin/purser
COPY LICENSE NOTICE /usr/share/doc/purser/
USER 7077
ENV HOME=/var/lib/purser PURSER_DATA_DIR=/var/lib/purser XDG_CACHE_HOME=/var/cache
VOLUME /var/lib/purser
EXPOSE 7077
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["purser", "doctor", "--probe"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["purser"]
# Elsewhere Purser listens on loopback alone; within a container that would be of no use.
CMD ["serve", "--listen", "0.0.0.0:7077"]
