#!/bin/sh
# Makes what the samples name: a small certificate authority, a server and two clients, and a password for Redis.
#
#     certs-example/make.sh [DIRECTORY]          default: where this script is
#
# Where `respgate` is in the PATH, its own `respgate cert` makes the certificates; without it, openssl makes the same ones.
# The last line that it prints takes a certificate back. What exists already is kept. For trying out and for tests: a real
# authority's key does not lie beside a server's.
set -eu

umask 022
dir=${1:-$(dirname -- "$0")}
mkdir -p -- "$dir"
cd -- "$dir"
# respgate refuses files that others can change, as a clone under another umask makes them.
if [ $# -eq 0 ]; then
    for sample in . respgate.toml users.acl; do
        [ ! -e "$sample" ] || chmod go-w "$sample"
    done
fi
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

# An authority that openssl made has no index, and `respgate cert` would not know what it has issued.
if [ -e index ] || { [ ! -e ca.crt ] && command -v respgate >/dev/null; }; then
    [ -e ca.crt ] || respgate cert ca
    [ -e server.crt ] || respgate cert server localhost 127.0.0.1 ::1 --file server
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

if [ ! -e server.crt ]; then
    request server "/CN=localhost"
    sign server "extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1"
fi

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

# The list of what is revoked has a directory of its own, because that is what compose.yaml mounts: a container goes on
# seeing the old list when a single mounted file is replaced.
if [ ! -e crl/ca.crl ]; then
    mkdir -p crl
    if [ -e index ]; then
        mv ca.crl crl/ca.crl
    else
        openssl ca -config openssl.cnf -gencrl -out crl/ca.crl 2>/dev/null
    fi
    ln -s crl/ca.crl ca.crl
    chmod 644 crl/ca.crl
fi

# The password between respgate and Redis. Redis's own file of users holds its hash only, of 256 random bits, so others
# may read that one: in a container Redis is not the user who owns these files.
if [ ! -e redis_password ]; then
    openssl rand -hex 32 | tr -d '\n' >redis_password
    hash=$(openssl dgst -sha256 -r redis_password | cut -d ' ' -f 1)
    printf 'user default off\nuser respgate on #%s +@all ~* &*\n' "$hash" >redis-users.acl
    chmod 644 redis-users.acl
fi

echo "in $(pwd): ca.crt, server.crt and the clients shop.crt and ops.crt, each with its .key"
if [ -e index ]; then
    echo "to take one back: respgate cert revoke shop --dir $(pwd) --config $(pwd)/respgate.toml"
else
    echo "to take one back: cd $(pwd) && openssl ca -config openssl.cnf -revoke shop.crt &&" \
        "openssl ca -config openssl.cnf -gencrl -out crl/ca.crl"
fi
