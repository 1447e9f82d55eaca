package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// verifier is the public library's, for one secret.
func verifier(t testing.TB, secret string) *standardwebhooks.Webhook {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sent sends a delivery by a Sender with those secrets and returns what a receiver reads.
func sent(t *testing.T, secrets ...string) received {
	t.Helper()
	r := newReceiver(t, nil)
	s := newSender(t, Options{AllowPrivate: true, Secrets: secrets})
	if err := s.Handle(t.Context(), delivery(r.URL+"/hook?a=b")); err != nil {
		t.Fatal(err)
	}
	return r.one(t)
}

func TestThePublicVerifierAcceptsWhatIsSent(t *testing.T) {
	key := secret()
	got := sent(t, key)
	if err := verifier(t, key).Verify(got.body, got.header); err != nil {
		t.Error(err)
	}
	if got.method != http.MethodPost || got.path != "/hook" || got.query != "a=b" || string(got.body) != `{"order":7}` {
		t.Errorf("%s %s?%s %s, want a POST of the payload to the target", got.method, got.path, got.query, got.body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "triggerhook",
		HeaderTaskID: "order%207/remind", HeaderAttempt: "1", HeaderDue: "2027-01-15T08:00:00.123Z"} {
		if got := got.header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
}

// Each part that is signed, changed alone, is refused; and so is a request that is old, which was recorded and is sent again.
func TestForgedAndReplayedRequestsAreRefused(t *testing.T) {
	key := secret()
	v := verifier(t, key)
	for name, forge := range map[string]func(*received){
		"another body":   func(r *received) { r.body = []byte(`{"order":8}`) },
		"another id":     func(r *received) { r.header.Set(HeaderID, "msg_0") },
		"another time":   func(r *received) { r.header.Set(HeaderTimestamp, strconv.FormatInt(time.Now().Unix()+7, 10)) },
		"no signature":   func(r *received) { r.header.Del(HeaderSignature) },
		"another secret": func(r *received) { *r = sent(t, secret()) },
		"another algorithm": func(r *received) {
			r.header.Set(HeaderSignature, strings.Replace(r.header.Get(HeaderSignature), "v1,", "v1a,", 1))
		},
	} {
		r := sent(t, key)
		forge(&r)
		if err := v.Verify(r.body, r.header); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	old, k := sent(t, key), must(parseKeys([]string{key}))(t)
	at := time.Now().Add(-6 * time.Minute)
	old.header.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	old.header.Set(HeaderSignature, k.sign(old.header.Get(HeaderID), at, old.body))
	if err := v.Verify(old.body, old.header); err == nil {
		t.Error("a request of 6 minutes ago is accepted")
	}
	if err := v.VerifyIgnoringTimestamp(old.body, old.header); err != nil {
		t.Errorf("the recorded request was refused for another reason than its age: %v", err)
	}
}

// must returns a function that returns value, and fails the test if err is not nil.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// While secrets are rotated a receiver with either is satisfied. SetSecrets changes them for the next request.
func TestRotation(t *testing.T) {
	r := newReceiver(t, nil)
	old, next := secret(), secret()
	s := newSender(t, Options{AllowPrivate: true, Secrets: []string{old}})
	verified := func(key string) bool {
		if err := s.Handle(t.Context(), delivery(r.URL)); err != nil {
			t.Fatal(err)
		}
		last := r.requests()[len(r.requests())-1]
		return verifier(t, key).Verify(last.body, last.header) == nil
	}
	for _, step := range []struct {
		secrets       []string
		byOld, byNext bool
	}{{[]string{old}, true, false}, {[]string{next, old}, true, true}, {[]string{next}, false, true}} {
		if err := s.SetSecrets(step.secrets); err != nil {
			t.Fatal(err)
		}
		if a, b := verified(old), verified(next); a != step.byOld || b != step.byNext {
			t.Errorf("%d secrets: accepted with the old one %t, want %t; with the new one %t, want %t", len(step.secrets), a, step.byOld, b, step.byNext)
		}
	}
	if err := s.SetSecrets([]string{"whsec_short"}); err == nil || !verified(next) {
		t.Errorf("%v, want an error, and the secrets as they were", err)
	}
}

// The signature v1a is by ed25519 over the same message, beside those of the secrets.
func TestAsymmetricSignatures(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{"seed": private.Seed(), "seed and public key": private} {
		symmetric := secret()
		got := sent(t, symmetric, "whsk_"+base64.StdEncoding.EncodeToString(key))
		signatures := strings.Fields(got.header.Get(HeaderSignature))
		if len(signatures) != 2 || !strings.HasPrefix(signatures[1], "v1a,") {
			t.Fatalf("%s: signatures %q, want v1 and v1a", name, signatures)
		}
		signature := must(base64.StdEncoding.DecodeString(strings.TrimPrefix(signatures[1], "v1a,")))(t)
		message := got.header.Get(HeaderID) + "." + got.header.Get(HeaderTimestamp) + "." + string(got.body)
		if !ed25519.Verify(public, []byte(message), signature) {
			t.Errorf("%s: the signature is not that of the message", name)
		}
		if err := verifier(t, symmetric).Verify(got.body, got.header); err != nil {
			t.Errorf("%s, the symmetric one: %v", name, err)
		}
	}
}

func TestWithoutSecretsNothingIsSigned(t *testing.T) {
	if got := sent(t).header.Values(HeaderSignature); got != nil {
		t.Errorf("signatures %q, want none", got)
	}
}

// Secrets that break a rule are refused by number and rule, and are not shown.
func TestBadSecretsAreRefused(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	wrong := append(slices.Clone(private[:32]), make([]byte, 32)...)
	b64 := base64.StdEncoding.EncodeToString
	for bad, rule := range map[string]string{
		"hidden":                          "want whsec_",
		"":                                "want whsec_",
		"whsec_hidden!":                   "not base64",
		"whsec_" + b64(make([]byte, 23)):  "24 to 64",
		"whsec_" + b64(make([]byte, 65)):  "24 to 64",
		"whsk_hidden!":                    "not base64",
		"whsk_" + b64(make([]byte, 31)):   "31 bytes",
		"whsk_" + b64(wrong):              "public key",
		"whpk_" + b64(make([]byte, 32)):   "want whsec_",
		"whsec_ " + b64(make([]byte, 24)): "not base64",
	} {
		_, err := New(Options{Secrets: []string{secret(), bad}})
		if err == nil || !strings.Contains(err.Error(), "secret 2") || !strings.Contains(err.Error(), rule) {
			t.Errorf("%q: %v, want an error with the number and %q", bad, err, rule)
		}
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error has the secret: %v", err)
		}
	}
	if _, err := New(Options{Secrets: slices.Repeat([]string{secret()}, 11)}); err == nil || !strings.Contains(err.Error(), "11 secrets") {
		t.Errorf("11 secrets: %v", err)
	}
}

func TestSecretsOfAFile(t *testing.T) {
	a, b := secret(), secret()
	if got := must(ParseSecrets([]byte("# since May\n" + a + "\r\n\n  " + b + "\n")))(t); !slices.Equal(got, []string{a, b}) {
		t.Errorf("%d secrets, want both", len(got))
	}
	for text, want := range map[string]string{"": "0 secrets", "# none\n": "0 secrets", a + "\nwhsec_hidden!\n": "line 2", strings.Repeat(a+"\n", 11): "11 secrets"} {
		if _, err := ParseSecrets([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}
