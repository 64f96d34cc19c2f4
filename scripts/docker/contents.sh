# What is in each image: `fill_NAME` lays its filesystem out of the programs that are installed here, `describe_NAME` says
# how it is run. They behave as the official images of these names do, as far as recipes rely on them; what they begin
# with stands in test/images.

# A shell and what scripts need, in one program that needs nothing else.
fill_base() { # root
    local busybox applet
    busybox=$(command -v busybox) && ! ldd "$busybox" >/dev/null 2>&1 ||
        refuse "there is no busybox that stands alone; run scripts/install-peers.sh as root, or: apt-get install busybox-static"
    mkdir -p "$1"/{bin,sbin,usr/bin,usr/sbin,usr/local/bin,lib,lib64,etc,dev,proc,sys,root,run,var/lib,var/run,home}
    mkdir -m 1777 "$1/tmp" "$1/var/tmp"
    cp "$busybox" "$1/bin/busybox"
    for applet in $("$busybox" --list); do
        [ "$applet" = busybox ] || ln -s /bin/busybox "$1/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
    echo 'root:x:0:' >"$1/etc/group"
    echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
}

add_user() { # root name id home
    echo "$2:x:$3:$3::$4:/bin/sh" >>"$1/etc/passwd"
    echo "$2:x:$3:" >>"$1/etc/group"
}

# Programs or libraries under the names that they have here, with all that they are linked with.
copy_linked() { # root path…
    local target=$1 path needed
    shift
    for path in "$@"; do
        mkdir -p "$target$(dirname "$path")"
        # What is one of the shell's small programs gives way.
        rm -f "$target$path"
        cp -L "$path" "$target$path"
        for needed in $(ldd "$path" 2>/dev/null | grep -oE '/[^ ]+' || true); do
            [ ! -e "$target$needed" ] || continue
            mkdir -p "$target$(dirname "$needed")"
            cp -L "$needed" "$target$needed"
        done
    done
}

copy_program() { # root program package
    local path
    path=$(command -v "$2") ||
        refuse "$2 is not installed, of which an image is made; run scripts/install-peers.sh as root, or: apt-get install $3"
    copy_linked "$1" "$path"
}

entrypoint() { # root name path
    cp "$root/test/images/$2" "$1$3"
    chmod 755 "$1$3"
}

fill_tiny() { # root
    :
}

describe_tiny() {
    echo 'CMD ["sh"]'
    echo 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

fill_redis() { # root
    copy_program "$1" redis-server redis-server
    copy_program "$1" redis-cli redis-tools
    copy_linked "$1" /usr/bin/setpriv
    add_user "$1" redis 999 /data
    own "$1" 999 755 data
    entrypoint "$1" redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
}

describe_redis() {
    describe_tiny | grep ENV
    cat <<END
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
WORKDIR /data
VOLUME /data
EXPOSE 6379
LABEL throome.test.inside="Redis $(redis-server --version | sed -n 's/.* v=\([^ ]*\).*/\1/p') of Debian"
END
}

fill_postgres() { # root
    local from to=$1 version program library
    from=$(dirname "$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)")
    [ -x "$from/postgres" ] ||
        refuse "postgres is not installed, of which an image is made; run scripts/install-peers.sh as root, or: apt-get install postgresql"
    version=$(basename "$(dirname "$from")")
    for program in postgres initdb pg_ctl psql pg_dump pg_dumpall pg_restore pg_isready createdb dropdb; do
        copy_linked "$to" "$from/$program"
        ln -s "$from/$program" "$to/usr/local/bin/$program"
    done
    copy_linked "$to" /usr/bin/setpriv
    # Without the compiler of queries, which is ten times as large as all the rest.
    for library in "$(dirname "$from")"/lib/*.so; do
        case "$library" in */llvmjit*) ;; *) copy_linked "$to" "$library" ;; esac
    done
    mkdir -p "$to/usr/share/postgresql" "$to/usr/lib/locale"
    cp -rL "/usr/share/postgresql/$version" "$to/usr/share/postgresql/"
    # As the official image: it listens for others of its network, and of the host.
    sed -i "s/^#\?listen_addresses = .*/listen_addresses = '*'/" "$to/usr/share/postgresql/$version/postgresql.conf.sample"
    cp -rL /usr/share/zoneinfo "$to/usr/share/zoneinfo"
    cp -rL /usr/lib/locale/C.utf8 "$to/usr/lib/locale/C.utf8"
    add_user "$to" postgres 70 /var/lib/postgresql
    rm -rf "$to/var/run"
    ln -s /run "$to/var/run"
    own "$to" 70 3777 run/postgresql
    own "$to" 70 755 var/lib/postgresql
    own "$to" 70 1777 var/lib/postgresql/data
    mkdir "$to/docker-entrypoint-initdb.d"
    entrypoint "$to" postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
}

describe_postgres() {
    describe_tiny | grep ENV
    cat <<END
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
ENV LANG=C.UTF-8
ENV PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
LABEL throome.test.inside="PostgreSQL $(printf '%s\n' /usr/lib/postgresql/*/ | sort -V | tail -n 1 | grep -oE '[0-9]+') of Debian"
END
}

fill_kafka() { # root
    local to=$1 java jars library
    java=$(readlink -f "$(command -v java)") ||
        refuse "java is not installed, of which an image is made; run scripts/install-peers.sh as root, or: apt-get install openjdk-17-jre-headless"
    java=$(dirname "$(dirname "$java")")
    mkdir -p "$to/opt/java/openjdk" "$to/opt/kafka/libs" "$to/etc/kafka/docker"
    # The system's own settings and certificates are linked to, and some of these links lead nowhere.
    tar -C "$java" -c -h --ignore-failed-read --warning=no-failed-read --exclude='lib/src.zip' --exclude='lib/ct.sym' \
        bin/java conf lib 2>/dev/null | tar -x -C "$to/opt/java/openjdk" || [ -e "$to/opt/java/openjdk/lib/modules" ]
    for library in "$java/bin/java" "$java"/lib/*.so "$java"/lib/server/libjvm.so; do
        copy_libraries "$to" "$library" "$java"
    done
    ln -s /opt/java/openjdk/bin/java "$to/usr/local/bin/java"
    # The version that its name says, whichever the servers of tests are.
    jars=$(unset KAFKA_VERSION; kafka_jars)
    cp "$jars"/*.jar "$to/opt/kafka/libs/"
    chmod 644 "$to"/opt/kafka/libs/*
    cp -r "$root/test/images/kafka-root/." "$to/"
    chmod 755 "$to"/opt/kafka/bin/* "$to"/etc/kafka/docker/run
    chmod -R go+rX "$to/opt"
    add_user "$to" appuser 1000 /home/appuser
    own "$to" 1000 755 home/appuser
    own "$to" 1000 755 var/lib/kafka
    own "$to" 1000 755 var/lib/kafka/data
    own "$to" 1000 755 etc/kafka/secrets
    own "$to" 1000 755 mnt/shared/config
    own "$to" 1000 755 opt/kafka/logs
    entrypoint "$to" kafka-entrypoint.sh /__cacert_entrypoint.sh
}

# An archive of Kafka's classes as Java has them in memory once it runs, as the official image has one, which saves a start
# a third of its time. That is all it does: where it could not be made, Kafka starts without.
finish_kafka() { # root image
    local container config=/opt/kafka/config/kraft/server.properties _
    container=$(engine run --detach --env KAFKA_HEAP_OPTS=-Xmx256m "$2" sh -c "cd /opt/kafka/bin
        ./kafka-storage.sh format --cluster-id AAAAAAAAAAAAAAAAAAAAAA --config $config
        KAFKA_OPTS=-XX:ArchiveClassesAtExit=/tmp/kafka.jsa exec ./kafka-server-start.sh $config")
    for _ in $(seq 120); do
        ! engine logs "$container" 2>&1 | grep -q 'Kafka Server started' || break
        sleep 1
    done
    # It is written at the end, which takes ten seconds.
    engine stop --time 120 "$container" >/dev/null
    engine cp "$container:/tmp/kafka.jsa" "$1/opt/kafka/kafka.jsa" >/dev/null 2>&1 || true
    engine rm --force --volumes "$container" >/dev/null
    chmod -f 644 "$1/opt/kafka/kafka.jsa" || true
}

# Only what it is linked with of the system, since it stands elsewhere there than here.
copy_libraries() { # root path directory
    local needed
    for needed in $(ldd "$2" 2>/dev/null | grep -oE '/[^ ]+' || true); do
        case "$needed" in "$3"/*) continue ;; esac
        [ -e "$1$needed" ] || {
            mkdir -p "$1$(dirname "$needed")"
            cp -L "$needed" "$1$needed"
        }
    done
}

describe_kafka() {
    cat <<'END'
ENV PATH=/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV JAVA_HOME=/opt/java/openjdk
ENTRYPOINT ["/__cacert_entrypoint.sh"]
CMD ["/etc/kafka/docker/run"]
USER appuser
VOLUME /etc/kafka/secrets
VOLUME /mnt/shared/config
VOLUME /var/lib/kafka/data
EXPOSE 9092
LABEL throome.test.inside="Kafka of Maven Central"
END
}
