package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// keys sign by the Standard Webhooks specification. They are immutable.
type keys struct {
	symmetric  [][]byte
	asymmetric []ed25519.PrivateKey
}

// Bounds of the specification, and how many secrets a header has room for.
const (
	leastSecret = 24
	mostSecret  = 64
	mostSecrets = 10
)

// parseKeys reads secrets. Its error names a secret by its number, never by its text.
func parseKeys(secrets []string) (*keys, error) {
	if len(secrets) > mostSecrets {
		return nil, fmt.Errorf("there are %d secrets, want at most %d", len(secrets), mostSecrets)
	}
	k := &keys{}
	for i, text := range secrets {
		if err := k.add(text); err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
	}
	return k, nil
}

// add adds the key that text is.
func (k *keys) add(text string) error {
	if b64, is := strings.CutPrefix(text, "whsec_"); is {
		secret, err := base64.StdEncoding.DecodeString(b64)
		if err != nil {
			return errors.New("what comes after whsec_ is not base64")
		}
		if len(secret) < leastSecret || len(secret) > mostSecret {
			return fmt.Errorf("it has %d bytes after whsec_, want %d to %d", len(secret), leastSecret, mostSecret)
		}
		k.symmetric = append(k.symmetric, secret)
		return nil
	}
	b64, is := strings.CutPrefix(text, "whsk_")
	if !is {
		return errors.New("want whsec_ and the base64 of 24 to 64 random bytes, or whsk_ and the base64 of an ed25519 key")
	}
	private, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return errors.New("what comes after whsk_ is not base64")
	}
	return k.addPrivate(private)
}

// addPrivate adds an ed25519 key: a seed, or a seed and its public key.
func (k *keys) addPrivate(b []byte) error {
	switch {
	case len(b) != ed25519.SeedSize && len(b) != ed25519.PrivateKeySize:
		return fmt.Errorf("it has %d bytes after whsk_, want %d (a seed) or %d (seed and public key)", len(b), ed25519.SeedSize, ed25519.PrivateKeySize)
	case len(b) == ed25519.PrivateKeySize && !ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]).Equal(ed25519.PrivateKey(b)):
		return errors.New("the public key after the seed is not that of the seed")
	}
	k.asymmetric = append(k.asymmetric, ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]))
	return nil
}

// sign returns the value of webhook-signature: a signature of each key, with spaces between them; "" without keys.
func (k *keys) sign(id string, at time.Time, body []byte) string {
	message := append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
	all := make([]string, 0, len(k.symmetric)+len(k.asymmetric))
	for _, secret := range k.symmetric {
		mac := hmac.New(sha256.New, secret)
		mac.Write(message)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	for _, private := range k.asymmetric {
		all = append(all, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(private, message)))
	}
	return strings.Join(all, " ")
}

// ParseSecrets reads the text of a file with one secret a line, in the forms of Options.Secrets. Empty lines and lines that begin with # are left
// out. The error names the line and the rule, never a secret.
func ParseSecrets(text []byte) (secrets []string, _ error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := new(keys).add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		secrets = append(secrets, line)
	}
	if len(secrets) == 0 || len(secrets) > mostSecrets {
		return nil, fmt.Errorf("%d secrets, want 1 to %d", len(secrets), mostSecrets)
	}
	return secrets, nil
}
