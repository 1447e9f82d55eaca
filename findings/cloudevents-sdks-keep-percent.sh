#!/usr/bin/env bash
# The SDKs of CloudEvents for Go (github.com/cloudevents/sdk-go/v2 v2.16.2) and for JavaScript (npm cloudevents 10.0.0), over HTTP in binary mode:
# attributes are neither percent-decoded when they are received, nor percent-encoded when they are sent.
#
# Guess: the HTTP protocol binding 1.0.2 (3.1.3.2) has attributes percent-encoded in headers: the space, the double quote, the percent sign, and all
#        that is not printable ASCII. So a receiver that uses an SDK gets the subject of an event as its sender meant it, and
#        a sender that uses one sends headers that are ASCII.
# Seen:  both hand over "order%207%20%E2%82%AC" for the subject "order 7 €", and send the subject as it is, as bytes of UTF-8. Two programs with the same
#        SDK understand each other; one with an SDK and one that keeps to the binding do not, and neither gets an error. The issue
#        cloudevents/sdk-go#1331 (open, September 2026) has the same for v2.15.2.
#
# Output seen on 2026-11-30 (the script fails if any of these changes):
#   Go:         received "order%207%20%E2%82%AC", sent "order 7 €"
#   JavaScript: received "order%207%20%E2%82%AC", sent "order 7 €"
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
cd "$tmp"; export GOFLAGS=-mod=mod GOWORK=off
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

func main() {
	in, err := http.NewRequest("POST", "http://localhost/", strings.NewReader("{}"))
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "due", "ce-subject": "order%207%20%E2%82%AC", "Content-Type": "application/json"} {
		in.Header.Set(name, value)
	}
	received, err := cehttp.NewEventFromHTTPRequest(in)
	if err != nil {
		panic(err)
	}
	event := cloudevents.NewEvent()
	event.SetID("1")
	event.SetSource("/shop")
	event.SetType("due")
	event.SetSubject("order 7 €")
	out, err := http.NewRequest("POST", "http://localhost/", nil)
	if err == nil {
		err = cehttp.WriteRequest(context.Background(), binding.ToMessage(&event), out)
	}
	if err != nil {
		panic(err)
	}
	fmt.Printf("Go:         received %q, sent %q\n", received.Subject(), out.Header.Get("ce-subject"))
}
GO
cat >main.js <<'JS'
const { HTTP, CloudEvent } = require("cloudevents");
const headers = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/shop", "ce-type": "due", "ce-subject": "order%207%20%E2%82%AC", "content-type": "application/json" };
const received = HTTP.toEvent({ headers, body: "{}" }).subject;
const sent = HTTP.binary(new CloudEvent({ id: "1", source: "/shop", type: "due", subject: "order 7 €", data: {} })).headers["ce-subject"];
console.log(`JavaScript: received ${JSON.stringify(received)}, sent ${JSON.stringify(sent)}`);
JS
{ go mod init finding && go get github.com/cloudevents/sdk-go/v2@v2.16.2 && go mod tidy && npm i --no-audit --no-fund --ignore-scripts cloudevents@10.0.0; } >log 2>&1 || { cat log; exit 1; }
seen=$(go run . && node main.js)
echo "$seen"
[ "$seen" = 'Go:         received "order%207%20%E2%82%AC", sent "order 7 €"
JavaScript: received "order%207%20%E2%82%AC", sent "order 7 €"' ]
