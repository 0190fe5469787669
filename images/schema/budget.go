package schema

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cloudlets/images/pattern"
)

// A schema comes from an image, and an image from anybody. A few lines of
// one can ask for more work than there is time: references that double at
// each step, regular expressions that never give up. A budget bounds one
// check of arguments, whatever the schema asks for.

// maxCheck is how long a check of arguments may take.
const maxCheck = 2 * time.Second

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

// bounded is a pattern that spends a budget.
type bounded struct {
	pattern.Pattern
	budget *budget
}

// compile is [pattern.Compile] for what a manifest brings.
func (b *budget) compile(text string) (jsonschema.Regexp, error) {
	if len(text) > pattern.MaxLength {
		return nil, fmt.Errorf("it is %d bytes long, which is more than the %d allowed", len(text), pattern.MaxLength)
	}
	p, err := pattern.Compile(text)
	if err != nil {
		return nil, err
	}
	return bounded{p, b}, nil
}

// MatchString gives the check up where the match runs out of time, since nobody
// knows then whether it matches.
func (p bounded) MatchString(s string) bool {
	p.budget.spend()
	ok, err := p.Match(s)
	if err != nil {
		panic(errBudget)
	}
	return ok
}
