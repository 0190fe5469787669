// Package cputime is the processor time that this process, or one of its
// threads, has used. What comes from outside is bounded by it where work and not
// waiting is meant: by the clock, a computer that is too busy would break off
// work that is short.
package cputime
