package awstest

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Quota is a limit as Service Quotas tells it.
type Quota struct {
	Code, Name string
	Value      float64
}

// Message is a message of the account's one queue.
type Message struct {
	Body     string
	Deleted  bool
	Received int
	hidden   time.Time // until then nobody gets it
	receipt  string
}

// visibility is for how long a message that was received is hidden from others.
const visibility = 30 * time.Second

// SetQuotas says what a region's quotas are; defaults are those that were never changed.
func (c *Cloud) SetQuotas(region string, applied, defaults []Quota) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quotas[region], c.defaults[region] = applied, defaults
}

// Send puts a message into the queue.
func (c *Cloud) Send(body string) *Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &Message{Body: body}
	c.queue = append(c.queue, m)
	return m
}

// Deleted says whether a message was deleted, and Times how often it was received.
func (c *Cloud) Deleted(m *Message) (deleted bool, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.Deleted, m.Received
}

func (f failure) json() reply {
	body, _ := json.Marshal(map[string]string{"__type": f.code, "message": f.message}) // texts can be written
	return reply{f.status, "application/x-amz-json-1.1", string(body)}
}

func (c *Cloud) json(w http.ResponseWriter, r *http.Request, region, action string) {
	var in map[string]any
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &in) != nil {
		write(w, failure{http.StatusBadRequest, "SerializationException", "no JSON"}.json())
		return
	}
	if action == "sqs:ReceiveMessage" {
		c.waitForMessage(r, in)
		if r.Context().Err() != nil {
			return // nobody waits any more, and nothing is hidden for them
		}
	}
	c.mu.Lock()
	out, fail := c.answer(region, action, in)
	c.mu.Unlock()
	if fail != nil {
		write(w, fail.json())
		return
	}
	text, err := json.Marshal(out)
	if err != nil {
		write(w, failure{http.StatusInternalServerError, "InternalFailure", err.Error()}.json())
		return
	}
	write(w, reply{http.StatusOK, "application/x-amz-json-1.1", string(text)})
}

// waitForMessage is the long poll, cut to a test's length.
func (c *Cloud) waitForMessage(r *http.Request, in map[string]any) {
	if n, ok := in["WaitTimeSeconds"].(float64); !ok || n < 1 {
		return
	}
	for range 20 {
		c.mu.Lock()
		ready := slices.ContainsFunc(c.queue, func(m *Message) bool { return !m.Deleted && !c.Now().Before(m.hidden) })
		c.mu.Unlock()
		if ready || r.Context().Err() != nil {
			return
		}
		delay(r.Context(), 5*time.Millisecond)
	}
}

func (c *Cloud) answer(region, action string, in map[string]any) (any, *failure) {
	switch action {
	case "ssm:GetParameter":
		name, _ := in["Name"].(string)
		id, ok := c.in(region).images[name]
		if !ok {
			return nil, refuse("ParameterNotFound", "")
		}
		return map[string]any{"Parameter": map[string]any{"Name": name, "Type": "String", "Value": id, "Version": 1}}, nil
	case "servicequotas:ListServiceQuotas":
		return c.quotaPage(c.quotas[region], in)
	case "servicequotas:ListAWSDefaultServiceQuotas":
		return c.quotaPage(c.defaults[region], in)
	case "sqs:ReceiveMessage":
		return c.receive(in)
	case "sqs:DeleteMessage":
		for _, m := range c.queue {
			if m.receipt != "" && m.receipt == in["ReceiptHandle"] {
				m.Deleted = true
			}
		}
		return map[string]any{}, nil
	}
	return nil, refuse("UnknownOperationException", "%s", action)
}

func (c *Cloud) quotaPage(all []Quota, in map[string]any) (any, *failure) {
	if in["ServiceCode"] != "ec2" {
		return nil, refuse("NoSuchResourceException", "no such service")
	}
	from := 0
	if token, ok := in["NextToken"].(string); ok {
		n, err := strconv.Atoi(token)
		if err != nil || n > len(all) {
			return nil, refuse("InvalidPaginationTokenException", "bad token")
		}
		from = n
	}
	to := min(from+c.PageSize, len(all))
	var rows []any
	for _, q := range all[from:to] {
		rows = append(rows, map[string]any{"QuotaCode": q.Code, "QuotaName": q.Name, "ServiceCode": "ec2", "Value": q.Value})
	}
	out := map[string]any{"Quotas": rows}
	if to < len(all) {
		out["NextToken"] = strconv.Itoa(to)
	}
	return out, nil
}

func (c *Cloud) receive(in map[string]any) (any, *failure) {
	most := 1
	if n, ok := in["MaxNumberOfMessages"].(float64); ok {
		most = int(n)
	}
	if most < 1 || most > 10 {
		return nil, refuse("InvalidParameterValue", "MaxNumberOfMessages is 1 to 10")
	}
	now := c.Now()
	var rows []any
	for i, m := range c.queue {
		if m.Deleted || now.Before(m.hidden) || len(rows) == most {
			continue
		}
		c.received++
		m.Received++
		m.hidden, m.receipt = now.Add(visibility), fmt.Sprintf("receipt-%d", c.received)
		sum := md5.Sum([]byte(m.Body)) //nolint:gosec // as SQS does
		rows = append(rows, map[string]any{"MD5OfBody": hex.EncodeToString(sum[:]), "MessageId": fmt.Sprintf("m-%d", i), "ReceiptHandle": m.receipt, "Body": m.Body})
	}
	return map[string]any{"Messages": rows}, nil
}
