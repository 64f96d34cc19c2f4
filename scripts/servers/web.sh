# Peers that speak HTTP: webdis before Redis, nginx and HAProxy before the service that BACKEND names.

make_webdis() { # name
    cat >"$home/$1/webdis.json" <<END
{ "redis_host": "127.0.0.1", "redis_port": $(port_of redis), "http_host": "127.0.0.1", "http_port": $(port_of "$1"),
  "threads": 1, "pool_size": 50, "daemonize": false, "database": 0, "verbosity": 1, "logfile": "$home/$1/webdis.log" }
END
}

run_webdis() { # name
    require webdis webdis
    launch "$1" webdis "$home/$1/webdis.json"
}

require_backend() { # name
    [ -n "${BACKEND:-}" ] || refuse "$1 needs a service behind it: set BACKEND to its address, such as 127.0.0.1:3000"
}

make_nginx() { # name
    require_backend "$1"
    cat >"$home/$1/nginx.conf" <<END
daemon off;
$([ "$(id -u)" -ne 0 ] || echo "user root;")
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream web { server $BACKEND; keepalive 64; }
  server {
    listen 127.0.0.1:$(port_of "$1");
    location = /health { return 200; }
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host \$http_host;
    }
  }
}
END
}

run_nginx() { # name
    require nginx nginx-light
    launch "$1" nginx -p "$home/$1" -c nginx.conf -e stderr
}

make_haproxy() { # name
    require_backend "$1"
    cat >"$home/$1/haproxy.cfg" <<END
global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:$(port_of "$1")
  monitor-uri /health
  default_backend web
backend web
  http-reuse always
  server one $BACKEND
END
}

run_haproxy() { # name
    require haproxy haproxy
    launch "$1" haproxy -db -f "$home/$1/haproxy.cfg"
}
