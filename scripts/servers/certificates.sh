# Certificates: each server that speaks TLS has an authority of its own, so that the one of another is the wrong one.

# Makes tls/{ca,server,client}.crt and the keys: the server is localhost, the client the name given.
make_certificates() { # directory client
    require openssl openssl
    local tls=$1/tls name
    mkdir "$tls"
    openssl_quietly req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=throome test" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$tls/ca.key" -out "$tls/ca.crt"
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n' >"$tls/server.ext"
    printf 'extendedKeyUsage=clientAuth\n' >"$tls/client.ext"
    for name in server client; do
        openssl_quietly req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -subj "/CN=$([ "$name" = server ] && echo localhost || echo "$2")" \
            -keyout "$tls/$name.key" -out "$tls/$name.csr"
        openssl_quietly x509 -req -days 3650 -in "$tls/$name.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" \
            -set_serial "0x$(openssl rand -hex 8)" -extfile "$tls/$name.ext" -out "$tls/$name.crt"
        rm "$tls/$name.csr" "$tls/$name.ext"
    done
}

openssl_quietly() {
    local said
    said=$(openssl "$@" 2>&1) || refuse "openssl $1: $said"
}

# Says where they are, under names that begin so.
tell_certificates() { # name prefix
    variable "$1" "$2_CA" "$home/$1/tls/ca.crt"
    variable "$1" "$2_CLIENT_CERT" "$home/$1/tls/client.crt"
    variable "$1" "$2_CLIENT_KEY" "$home/$1/tls/client.key"
}
