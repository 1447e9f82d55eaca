// Package tokens has the bearer tokens of the HTTP API, and the file that lists them.
//
// A token is 256 random bits, so the file has its SHA-256 and no slow password hash: bcrypt and argon2 make guesses of short
// passwords dear, and no number of guesses finds 256 random bits. A slow hash would only let requests with wrong tokens cost time.
// The file has a line for each token, and lines that are empty or begin with #:
//
//	NAME SCOPE[,SCOPE...] sha256:HEX
package tokens

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Scope is what a token allows. No scope implies another one.
type Scope string

// The scopes.
const (
	Read    Scope = "read"    // everything that changes nothing
	Write   Scope = "write"   // create, change and delete tasks
	Operate Scope = "operate" // dead letters, pause and resume
)

// Scopes are all scopes.
var Scopes = []Scope{Read, Write, Operate}

const (
	prefix     = "thk_" // by which scanners for leaked secrets find a token
	hashPrefix = "sha256:"
	mostName   = 64
)

// Token is one line of the file.
type Token struct {
	Name   string  // of its user, in logs
	Scopes []Scope // what it allows
	hash   [sha256.Size]byte
}

// Allows reports whether t has the scope.
func (t Token) Allows(s Scope) bool { return slices.Contains(t.Scopes, s) }

// New makes a random token, and the line that the file needs to know it.
func New(name string, scopes []string) (token, line string, err error) {
	if err := checkName(name); err != nil {
		return "", "", err
	}
	if _, err := parseScopes(scopes); err != nil {
		return "", "", err
	}
	var secret [32]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the program before
	token = prefix + base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(token))
	return token, fmt.Sprintf("%s %s %s%s", name, strings.Join(scopes, ","), hashPrefix, hex.EncodeToString(hash[:])), nil
}

// Parse reads the text of a file of tokens. An error names the line, and never shows a hash.
func Parse(text []byte) (all []Token, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		t, err := parseLine(line)
		if err == nil && slices.ContainsFunc(all, func(o Token) bool { return o.Name == t.Name }) {
			err = fmt.Errorf("a second token is named %q; give each its own name", t.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		all = append(all, t)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New(`there is no token; "triggerhook token new" makes one`)
	}
	return all, nil
}

func parseLine(line string) (t Token, err error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return t, fmt.Errorf("%d words; want NAME SCOPE[,SCOPE] sha256:HEX", len(fields))
	}
	t.Name = fields[0]
	if err := checkName(t.Name); err != nil {
		return t, err
	}
	if t.Scopes, err = parseScopes(strings.Split(fields[1], ",")); err != nil {
		return t, err
	}
	text, is := strings.CutPrefix(fields[2], hashPrefix)
	hash, err := hex.DecodeString(text)
	if !is || err != nil || len(hash) != sha256.Size {
		return t, fmt.Errorf("the hash of %q is not sha256: and %d hexadecimal digits", t.Name, 2*sha256.Size)
	}
	copy(t.hash[:], hash)
	return t, nil
}

// checkName refuses a name that a line could not hold, or a log not show.
func checkName(name string) error {
	if name == "" || len(name) > mostName || strings.HasPrefix(name, "#") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("name %.80q: want 1 to %d printable ASCII characters without spaces, the first of them not #", name, mostName)
	}
	return nil
}

func parseScopes(texts []string) (all []Scope, err error) {
	for _, text := range texts {
		s := Scope(text)
		if !slices.Contains(Scopes, s) {
			return nil, fmt.Errorf("scope %q: want read, write or operate", text)
		}
		if slices.Contains(all, s) {
			return nil, fmt.Errorf("scope %q is given twice", text)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, errors.New("no scope: want read, write or operate")
	}
	return all, nil
}

// find returns the token of all that has this text. It compares with each of them in constant time, so that the time tells nothing.
func find(all []Token, text string) (t Token, is bool) {
	hash := sha256.Sum256([]byte(text))
	for _, one := range all {
		if subtle.ConstantTimeCompare(one.hash[:], hash[:]) == 1 {
			t, is = one, true
		}
	}
	return t, is
}
