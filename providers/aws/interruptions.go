package aws

import (
	"context"
	"slices"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"purser"
	"purser/providers"
)

// longPoll is the longest that SQS waits for a message, and mostMessages what it gives
// at once.
const (
	longPoll     = 20
	mostMessages = 10
)

// tooLate is the age of an event about a machine that EC2 does not know, after which it
// is not waited for any more.
const tooLate = 10 * time.Minute

// Interruptions reads the queues until ctx ends.
func (p *Provider) Interruptions(ctx context.Context, deliver func(context.Context, providers.Interruption) error) error {
	if len(p.c.Queues) == 0 {
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		once  sync.Once
		first error
		wg    sync.WaitGroup
	)
	for _, q := range p.c.Queues {
		wg.Go(func() {
			if err := p.listen(ctx, q, deliver); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	wg.Wait()
	return first
}

// listen goes on past what passes, with pauses of 1 s to 1 min.
func (p *Provider) listen(ctx context.Context, q Queue, deliver func(context.Context, providers.Interruption) error) error {
	const shortest, longest = time.Second, time.Minute
	for pause := shortest; ctx.Err() == nil; {
		err := p.poll(ctx, q, deliver)
		if err == nil {
			pause = shortest
			continue
		}
		switch purser.KindOf(err) {
		case purser.KindForbidden, purser.KindUnauthorized, purser.KindInvalid:
			return err
		default:
		}
		if p.c.Wait(ctx, pause) != nil {
			return nil //nolint:nilerr // the wait was cut short by the end of ctx, which is how listening ends
		}
		pause = min(2*pause, longest)
	}
	return nil
}

// poll waits for messages and deals with each. A failure with one leaves it in the queue,
// where it shows again, and does not keep the others back.
func (p *Provider) poll(ctx context.Context, q Queue, deliver func(context.Context, providers.Interruption) error) error {
	client := p.sqs(q.Region)
	out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.URL, MaxNumberOfMessages: mostMessages, WaitTimeSeconds: longPoll})
	if err != nil {
		return failed(ctx, opInterrupt, "sqs:ReceiveMessage in "+q.Region, err)
	}
	var first error
	for _, m := range out.Messages {
		done, err := p.handle(ctx, q, m, deliver)
		if err == nil && done {
			_, err = client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.URL, ReceiptHandle: m.ReceiptHandle})
			if err != nil {
				err = failed(ctx, opInterrupt, "sqs:DeleteMessage in "+q.Region, err)
			}
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// handle delivers what a message says of our machines, and says whether it may be deleted.
func (p *Provider) handle(ctx context.Context, q Queue, m sqstypes.Message, deliver func(context.Context, providers.Interruption) error) (done bool, err error) {
	e, ok := parseEvent(awssdk.ToString(m.Body))
	if !ok || !slices.Contains(p.c.Regions, e.Region) {
		return q.Own, nil
	}
	done = true
	notices := e.notices()
	if len(notices) == 0 {
		return q.Own, nil
	}
	for _, n := range notices {
		who, err := p.owner(ctx, e.Region, n.Instance)
		switch {
		case err != nil:
			return false, err
		case who.lease == "" && who.unknown && p.c.Now().Sub(e.Time) < tooLate:
			done = false // too new to be seen, perhaps
		case who.lease == "":
			done = done && q.Own
		case n.Kind != "":
			n.Lease = who.lease
			if deliver(ctx, n) != nil { // theirs to report; the notice comes again
				done = false
			}
		}
	}
	return done, nil
}

// owner is whose a machine is.
type owner struct {
	lease   purser.LeaseID // empty: not ours
	unknown bool           // EC2 does not know the machine, or not yet whose it is
}

// mostOwners bounds what is remembered of machines.
const mostOwners = 10_000

// owner asks whose a machine is; tags of machines do not change.
func (p *Provider) owner(ctx context.Context, region, id string) (owner, error) {
	p.mu.Lock()
	who, ok := p.owners[id]
	p.mu.Unlock()
	if ok {
		return who, nil
	}
	out, err := p.ec2(region).DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if c := code(err); c == "InvalidInstanceID.NotFound" || c == "InvalidInstanceID.Malformed" {
		return owner{unknown: true}, nil
	}
	if err != nil {
		return owner{}, failed(ctx, opInterrupt, "ec2:DescribeInstances in "+region, err)
	}
	who = owner{unknown: true}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			m := machineOf(region, i)
			// Tags of a new machine can be seen later than the machine.
			who = owner{unknown: m.Lease == "" && p.c.Now().Sub(m.StartedAt) < tooLate}
			if m.Installation == p.c.Installation {
				who.lease = m.Lease
			}
		}
	}
	if who.unknown {
		return who, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.owners) >= mostOwners {
		clear(p.owners)
	}
	p.owners[id] = who
	return who, nil
}
