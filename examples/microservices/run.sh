#!/usr/bin/env bash
# The shop by one command: six small services and the gateway before and between them. Their ports are USERS_PORT (3010),
# PRODUCTS_PORT (3011), PRODUCTS_TWO_PORT (3012), PRODUCTS_NEXT_PORT (3013), ORDERS_PORT (3014) and AUDIT_PORT (3015);
# nobody is at RECOMMENDATIONS_PORT (3016). ../start.sh names what else can be chosen.
set -euo pipefail
source "$(dirname "$0")/../start.sh"
export USERS_PORT=${USERS_PORT:-3010} PRODUCTS_PORT=${PRODUCTS_PORT:-3011} PRODUCTS_TWO_PORT=${PRODUCTS_TWO_PORT:-3012}
export PRODUCTS_NEXT_PORT=${PRODUCTS_NEXT_PORT:-3013} ORDERS_PORT=${ORDERS_PORT:-3014} AUDIT_PORT=${AUDIT_PORT:-3015}
export RECOMMENDATIONS_PORT=${RECOMMENDATIONS_PORT:-3016}

mock http "$USERS_PORT" users
mock http "$PRODUCTS_PORT" products-1
mock http "$PRODUCTS_TWO_PORT" products-2
mock http "$PRODUCTS_NEXT_PORT" products-next
mock http "$AUDIT_PORT" audit
start orders env DATA="$control/api/v1/clusters/microservices" SHOP="$traffic/shop" \
    python3 -B "$example/orders.py" --port "$ORDERS_PORT"
ready orders grep -q http:// "$work/orders.log"
gateway
ready gateway curl -sf "$traffic/shop/orders"
until_ended "  curl $traffic/shop/products
  curl $traffic/shop/orders -d '{\"user\":2,\"product\":3,\"quantity\":2}'
  curl $traffic/shop/recommendations"
