// Command purser is Purser: the server, the agent and the CLI in one program.
//
// The verbs talk to a server over its REST API, except serve, agent, plan, migrate,
// bench, openapi and doctor. Every verb that shows something takes -o json.
//
// Exit codes:
//
//	0    done
//	1    it failed: a fault, or something does not answer
//	2    the input is wrong: flags, a job file, a price file
//	3    there is no such thing
//	4    the job that was waited for failed or was cancelled
//	5    the token is missing, wrong or not enough
//	6    the plan cannot place everything
//	130  interrupted
package main
