package webhook

import (
	"math"
	"strings"
	"testing"
	"time"
)

// Each value that breaks a rule is refused by name; all at once, so that a configuration is mended in one go.
func TestBadOptionsAreRefused(t *testing.T) {
	for want, o := range map[string]Options{
		`Format is "json"`:             {Format: "json"},
		`ContentType is "json"`:        {ContentType: "json"},
		`UserAgent is "a\nb"`:          {UserAgent: "a\nb"},
		`UserAgent is " "`:             {UserAgent: " "},
		`EventType is "é"`:             {EventType: "é"},
		`Source is "%zz"`:              {Source: "%zz"},
		"ConnectTimeout is -1s":        {ConnectTimeout: -time.Second},
		"TLSTimeout is 1ns":            {TLSTimeout: 1},
		"HeaderTimeout is 11m0s":       {HeaderTimeout: 11 * time.Minute},
		"Timeout is 24h0m0s":           {Timeout: 24 * time.Hour},
		"MaxRetryAfter is 999ms":       {MaxRetryAfter: 999 * time.Millisecond},
		"BreakerOpen is 9ms":           {BreakerOpen: 9 * time.Millisecond},
		"PerHost is -1":                {PerHost: -1},
		"PerHost is 10001":             {PerHost: 10001},
		"MaxHosts is 1000001":          {MaxHosts: 1_000_001},
		"BreakerRequests is -9":        {BreakerRequests: math.MinInt + math.MaxInt - 8},
		`AllowNets has "10.0.0.0/33"`:  {AllowNets: []string{"::1", "10.0.0.0/33"}},
		`DenyNets has "intranet"`:      {DenyNets: []string{"intranet"}},
		`DenyNets has "fe80::1%eth0"`:  {DenyNets: []string{"fe80::1%eth0"}},
		`DenyNets has "::ffff:a00:1"`:  {DenyNets: []string{"::ffff:a00:1"}},
		`OnlyHosts has "https://a.b"`:  {OnlyHosts: []string{"https://a.b"}},
		`OnlyHosts has "*"`:            {OnlyHosts: []string{"*"}},
		`DenyHosts has "a.*.example"`:  {DenyHosts: []string{"a.*.example"}},
		`DenyHosts has "example:80"`:   {DenyHosts: []string{"example:80"}},
		"Ports has 0":                  {Ports: []uint16{443, 0}},
		"secret 1: want whsec_":        {Secrets: []string{""}},
		`PerHost is -1, want 1`:        {PerHost: -1, Format: "json"},
		`Format is "xml", want "stand`: {PerHost: -1, Format: "xml"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}
