package images

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A schema comes from an image, and an image from anybody. A few lines of
// one can ask for more work than there is time: references that double at
// each step, regular expressions that never give up. A budget bounds one
// check of arguments, whatever the schema asks for.

const (
	// maxCheck is how long a check of arguments may take.
	maxCheck = 2 * time.Second
	// matchTimeout bounds one match of a pattern that a manifest brings.
	matchTimeout = time.Second
	// maxPattern is the longest regular expression of a manifest, in bytes:
	// one takes memory by its length, and stack by its brackets.
	maxPattern = 4096
)

// errBudget says that a check of arguments was given up.
var errBudget = errors.New("checking the arguments takes too long: the schema in the manifest refers to itself too often, or has a regular expression that backtracks without end")

// budget is what one check at a time may spend.
type budget struct {
	mu   sync.Mutex
	ends time.Time
}

// run does a check, which calls spend as it goes on.
func (b *budget) run(check func() error) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = time.Now().Add(maxCheck)
	defer func() {
		switch p := recover(); p {
		case nil:
		case any(errBudget):
			err = errBudget
		default:
			panic(p)
		}
	}()
	return check()
}

// spend gives the check up when the time is over. The library that checks
// has no other way out than a panic, which run catches.
func (b *budget) spend() {
	if time.Now().After(b.ends) {
		panic(errBudget)
	}
}

// vocabulary has the library call spend at each schema that it checks a
// value against.
func (b *budget) vocabulary() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "budget:vocabulary",
		Compile: func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
			return spending{b}, nil
		},
	}
}

type spending struct{ budget *budget }

func (s spending) Validate(*jsonschema.ValidatorContext, any) { s.budget.spend() }

// pattern is a regular expression in the syntax of JavaScript.
type pattern struct{ re *regexp2.Regexp }

// compilePattern compiles an expression that is trusted to end.
func compilePattern(text string) (jsonschema.Regexp, error) {
	re, err := regexp2.Compile(text, regexp2.ECMAScript)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = matchTimeout
	return pattern{re}, nil
}

func (p pattern) String() string { return p.re.String() }

func (p pattern) MatchString(s string) bool {
	ok, err := p.re.MatchString(s)
	return ok && err == nil
}

// patient is a pattern that matches nothing any more once it has run out of
// time a few times: what it is asked about may be a whole filesystem.
type patient struct {
	pattern
	timeouts atomic.Int32
}

// maxTimeouts is how often a pattern may run out of time.
const maxTimeouts = 3

func (p *patient) MatchString(s string) bool {
	if p.timeouts.Load() >= maxTimeouts {
		return false
	}
	ok, err := p.re.MatchString(s)
	if err != nil {
		p.timeouts.Add(1)
	}
	return ok && err == nil
}

// bounded is a pattern that spends a budget.
type bounded struct {
	pattern
	budget *budget
}

// compile is [compilePattern] for what a manifest brings.
func (b *budget) compile(text string) (jsonschema.Regexp, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("it is %d bytes long, which is more than the %d allowed", len(text), maxPattern)
	}
	re, err := compilePattern(text)
	if err != nil {
		return nil, err
	}
	return bounded{re.(pattern), b}, nil
}

// MatchString gives the check up where the match runs out of time: that it
// does not match is not known.
func (p bounded) MatchString(s string) bool {
	p.budget.spend()
	ok, err := p.re.MatchString(s)
	if err != nil {
		panic(errBudget)
	}
	return ok
}
