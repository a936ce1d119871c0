#!/bin/sh
# Fails when a file that the binary embeds is not there. Without them the program
# still compiles, and would only say at run time what is missing.
set -u

code=0
for asset in optimizer/highs/wasm/highs.wasm web/dist/index.html; do
    if [ ! -s "$asset" ]; then
        echo "$asset is missing or empty, though its step has run; 'make clean build' makes everything anew." >&2
        code=1
    fi
done
exit "$code"
