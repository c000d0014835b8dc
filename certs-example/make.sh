#!/bin/sh
# Makes what the samples name: a small certificate authority, a server and two clients, and a password for Redis.
#
#     certs-example/make.sh [DIRECTORY]          default: where this script is
#
# DIRECTORY             the authority, and what its clients need
# DIRECTORY/respgate    what respgate reads, beside its configuration and users
# DIRECTORY/redis       what Redis reads
#
# The two folders are what compose.yaml mounts. Where `respgate` is in the PATH, its own `respgate cert` makes the
# certificates; without it, openssl makes the same ones: before its first start, the only respgate is in an image that is
# not built yet, so this is no `respgate init`. The last line that it prints takes a certificate back. What
# exists already is kept. For trying out and for tests: the key of a real authority lies on another machine.
set -eu

umask 022
dir=${1:-$(dirname -- "$0")}
mkdir -p -- "$dir"
cd -- "$dir"
# respgate refuses files that others can change, as a clone under another umask makes them.
if [ $# -eq 0 ]; then
    for sample in . respgate respgate/respgate.toml respgate/users.acl; do
        [ ! -e "$sample" ] || chmod go-w "$sample"
    done
fi
# In a container Redis is not the user who owns these files.
mkdir -p respgate redis
chmod 755 redis
umask 077
days=825

# P-256 keys, unencrypted because the server must start unattended; umask keeps them to their owner.
request() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \
        -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
}

# X.509 version 3: respgate refuses version 1, which is what `openssl x509 -req` makes without extensions.
sign() {
    printf '%s\n' "basicConstraints = critical, CA:false" "keyUsage = critical, digitalSignature" \
        "subjectKeyIdentifier = hash" "authorityKeyIdentifier = keyid" "$2" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days "$days" \
        -extfile "$1.ext" -out "$1.crt" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
    chmod 644 "$1.crt"
}

# The server's names are those of this machine, and of the service in compose.yaml.
#
# An authority that openssl made has no index, and `respgate cert` would not know what it has issued.
if [ -e index ] || { [ ! -e ca.crt ] && command -v respgate >/dev/null; }; then
    [ -e ca.crt ] || respgate cert ca
    [ -e respgate/server.crt ] || respgate cert server localhost respgate 127.0.0.1 ::1 --file server
    for client in shop ops; do
        [ -e "$client.crt" ] || respgate cert client "$client"
    done
fi

if [ ! -e ca.crt ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 \
        -keyout ca.key -out ca.crt -subj "/CN=respgate example CA $(openssl rand -hex 3)" \
        -addext "keyUsage = critical, keyCertSign, cRLSign" 2>/dev/null
    chmod 644 ca.crt
fi

if [ ! -e respgate/server.crt ]; then
    if [ ! -e server.crt ]; then
        request server "/CN=localhost"
        sign server "extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, DNS:respgate, IP:127.0.0.1, IP:::1"
    fi
    mv server.key server.crt respgate/
fi
[ -e respgate/ca.crt ] || cp -p ca.crt respgate/ca.crt

for client in shop ops; do
    if [ ! -e "$client.crt" ]; then
        request "$client" "/CN=$client"
        sign "$client" "extendedKeyUsage = clientAuth"
    fi
done

# What `openssl ca` needs for revoking.
if [ ! -e index ] && [ ! -e openssl.cnf ]; then
    printf '%s\n' "[ca]" "default_ca = own" "[own]" "certificate = ca.crt" "private_key = ca.key" \
        "database = openssl.index" "crlnumber = openssl.crlnumber" "unique_subject = no" "default_md = sha256" \
        "default_crl_days = 3650" "crl_extensions = crl" "[crl]" "authorityKeyIdentifier = keyid" >openssl.cnf
    : >openssl.index
    echo 01 >openssl.crlnumber
fi

# The list of what is revoked is replaced as a whole; so it lies where respgate reads it.
if [ ! -e respgate/ca.crl ]; then
    if [ -e index ]; then
        mv ca.crl respgate/ca.crl
    else
        openssl ca -config openssl.cnf -gencrl -out respgate/ca.crl 2>/dev/null
    fi
    ln -s respgate/ca.crl ca.crl
    chmod 644 respgate/ca.crl
fi

# The password between the two. Redis's own users have its hash only, of 256 random bits, so others may read that file.
if [ ! -e respgate/redis_password ]; then
    openssl rand -hex 32 | tr -d '\n' >respgate/redis_password
    hash=$(openssl dgst -sha256 -r respgate/redis_password | cut -d ' ' -f 1)
    printf 'user default off\nuser respgate on #%s +@all ~* &*\n' "$hash" >redis/users.acl
    chmod 644 redis/users.acl
fi

echo "in $(pwd): ca.crt and the clients shop.crt and ops.crt, each with its .key"
if [ -e index ]; then
    echo "to take one back: respgate cert revoke shop --dir $(pwd) --config $(pwd)/respgate/respgate.toml"
else
    echo "to take one back: cd $(pwd) && openssl ca -config openssl.cnf -revoke shop.crt &&" \
        "openssl ca -config openssl.cnf -gencrl -out respgate/ca.crl"
fi
