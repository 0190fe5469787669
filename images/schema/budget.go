package schema

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cloudlets/images/cputime"
	"cloudlets/images/pattern"
)

// A schema comes with an image, which anybody may have made. A few lines of
// a schema can ask for more work than there is time for, e.g. by references
// that double at each step or by regular expressions that backtrack without
// end. A budget therefore bounds the time of each check of arguments.

// maxCheck is how long a check of arguments may take, by the clock and in
// processor time: by the clock alone, a computer that is too busy would refuse
// arguments that are right.
const maxCheck = 2 * time.Second

// errBudget is returned if a check of arguments ran out of time.
var errBudget = errors.New("checking the arguments takes too long: the schema in the manifest refers to itself too often, or has a regular expression that backtracks without end")

// budget bounds the time of checks, which run one at a time.
type budget struct {
	mu    sync.Mutex
	ends  time.Time     // by the clock, at the soonest
	began time.Duration // processor time of the thread
}

// run runs a check, which must call spend again and again. It returns
// errBudget if the check runs out of time.
func (b *budget) run(check func() error) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ends, b.began = time.Now().Add(maxCheck), cputime.Thread()
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

// spend stops the check if its time is over. It panics, because the library
// that checks cannot be stopped in another way. run recovers from the panic.
func (b *budget) spend() {
	if time.Now().After(b.ends) && cputime.Thread()-b.began > maxCheck {
		panic(errBudget)
	}
}

// vocabulary makes the library call spend whenever it checks a value against
// a schema.
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

// compile is [pattern.Compile] for the patterns of a manifest: it limits their
// length, and their matches spend the budget.
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

// MatchString stops the whole check if the match runs out of time, because
// its result is then unknown.
func (p bounded) MatchString(s string) bool {
	p.budget.spend()
	ok, err := p.Match(s)
	if err != nil {
		panic(errBudget)
	}
	return ok
}
