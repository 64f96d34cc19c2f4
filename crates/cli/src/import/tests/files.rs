//! Compose files as they are found in the world.

/// A blog behind its cache.
pub(super) const BLOG: &str = r#"version: "3.8"
name: blog

services:
  db:
    image: mysql:8.0
    command: --default-authentication-plugin=mysql_native_password
    volumes: [db-data:/var/lib/mysql]
    restart: unless-stopped
    environment:
      - MYSQL_ROOT_PASSWORD=somewordpress
      - MYSQL_DATABASE=wordpress
    expose: [3306, 33060]

  wordpress:
    image: wordpress:6-apache
    depends_on:
      db: { condition: service_healthy }
    ports:
      - "${WEB_PORT:-8080}:80"
    restart: unless-stopped
    environment:
      WORDPRESS_DB_HOST: db
      WORDPRESS_DB_PASSWORD: somewordpress

  cache:
    image: redis:7-alpine
    restart: unless-stopped
    command: ["redis-server", "--requirepass", "s3cret", "--maxmemory", "128mb"]
    volumes:
      - cache-data:/data

  phpmyadmin:
    image: phpmyadmin
    profiles: [debug]
    ports: ["8081:80"]

volumes:
  db-data: {}
  cache-data: {}
"#;

/// Kafka as its tutorials have it, and by the image of its makers.
pub(super) const STREAMS: &str = r#"services:
  zookeeper:
    image: confluentinc/cp-zookeeper:7.6.0
    environment:
      ZOOKEEPER_CLIENT_PORT: 2181

  broker:
    image: confluentinc/cp-kafka:7.6.0
    depends_on:
      - zookeeper
    ports:
      - "29092:29092"
      - "9092:9092"
    environment:
      KAFKA_BROKER_ID: 1
      KAFKA_ZOOKEEPER_CONNECT: zookeeper:2181
      KAFKA_ADVERTISED_LISTENERS: PLAINTEXT://broker:29092,PLAINTEXT_HOST://localhost:9092

  local:
    image: apache/kafka:3.9.1
    ports:
      - target: 9092
        published: "29092"
        host_ip: 10.0.0.5
        protocol: tcp
        mode: host

  schema-registry:
    image: confluentinc/cp-schema-registry:7.6.0
    ports: ["8081"]

  ui:
    image: provectuslabs/kafka-ui:latest
    ports:
      - 8090:8080
    healthcheck:
      test: wget --spider http://localhost:8080/actuator/health || exit 1
      interval: 10s
"#;

/// An application whose file is written with everything that spares typing.
pub(super) const ANCHORS: &str = r#"name: orders
include:
  - monitoring.yaml

x-service: &service
  restart: always
  logging:
    driver: json-file

x-environment: &environment
  NODE_ENV: production
  EXTRA: ${NOBODY}

services:
  api:
    <<: *service
    build:
      context: .
      target: production
    ports:
      - 3000:3000
      - 127.0.0.1:9229:9229
    environment:
      <<: *environment
      DATABASE_URL: postgres://app@db:5432/orders
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:3000/health"]

  worker:
    <<: *service
    image: ghcr.io/somebody/orders-worker
    command: node worker.js
    environment: *environment

  db:
    extends:
      file: common.yml
      service: postgres
    env_file:
      - db.env
      - path: not-there.env
        required: false
    environment:
      - POSTGRES_USER=app
      - POSTGRES_DB=${DB_NAME:?}
      - POSTGRES_PASSWORD_FILE=/run/secrets/db_password
    secrets:
      - db_password
    volumes:
      - ./init.sql:/docker-entrypoint-initdb.d/init.sql:ro
    deploy:
      resources:
        limits:
          cpus: "1.5"
          memory: 512M

  reports:
    image: postgres:17
    environment:
      POSTGRES_PASSWORD: ${FROM_ENV}

secrets:
  db_password:
    file: secrets/db
"#;

/// What it lays below one of its services.
pub(super) const COMMON: &str = r#"services:
  postgres:
    image: postgres:16-alpine
    restart: always
    ports:
      - "${DB_PORT:-5432}:5432"
    environment:
      POSTGRES_USER: nobody
    volumes:
      - db-data:/var/lib/postgresql/data
"#;
