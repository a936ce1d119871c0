package aws

import (
	"bytes"
	"encoding/json"
)

// Permission is a call that the adapter makes, by the name that IAM has for it.
type Permission struct {
	Action string
	Need   string // what for
}

// Permissions are all calls that the adapter makes.
func Permissions() []Permission {
	return []Permission{
		{"ec2:DescribeInstances", "every call: looks for machines by tag"},
		{"ec2:DescribeLaunchTemplates", "Launch and Sweep: the lease's template"},
		{"ec2:DescribeCapacityReservations", "Launch of reserved machines, and Quotas"},
		{"ec2:DescribeInstanceTypes", "Quotas: what reserved machines have"},
		{"ssm:GetParameter", "Launch: the current image"},
		{"ec2:CreateLaunchTemplate", "Launch: keeps every repetition the same"},
		{"ec2:CreateFleet", "Launch in one of several places"},
		{"ec2:RunInstances", "Launch in one place"},
		{"ec2:TerminateInstances", "Terminate"},
		{"ec2:DeleteLaunchTemplate", "Launch that was refused, and Sweep"},
		{"ec2:CreateTags", "Launch, which tags what it makes, and Sweep"},
		{"servicequotas:ListServiceQuotas", "Quotas"},
		{"servicequotas:ListAWSDefaultServiceQuotas", "Quotas"},
		{"sqs:ReceiveMessage", "Interruptions"},
		{"sqs:DeleteMessage", "Interruptions"},
	}
}

// object is written with its keys in order, as encoding/json does with maps.
type object = map[string]any

// Policy is the least that the server's role has to be allowed, as an IAM policy. The
// words in capital letters are the operator's to replace. What reads has no resource in
// EC2; what changes is bound to the installation's tag, so that a server cannot touch
// what is not its own, whatever it does wrong.
func Policy(installation string) ([]byte, error) {
	const ec2 = "arn:aws:ec2:*:ACCOUNT:"
	tagged := func(key string) object {
		return object{"StringEquals": object{"aws:" + key + "/" + tagInstallation: installation}}
	}
	return document(object{"Version": "2012-10-17", "Statement": []object{
		{
			"Sid": "Read", "Effect": "Allow", "Resource": "*",
			"Action": []string{
				"ec2:DescribeInstances", "ec2:DescribeLaunchTemplates", "ec2:DescribeCapacityReservations", "ec2:DescribeInstanceTypes",
				"servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas",
			},
		},
		{
			"Sid": "Images", "Effect": "Allow", "Action": []string{"ssm:GetParameter"},
			"Resource": []string{"arn:aws:ssm:*::parameter/aws/service/*", "arn:aws:ssm:*:ACCOUNT:parameter/aws/service/*"},
		},
		{
			"Sid": "LaunchWithTags", "Effect": "Allow", "Action": []string{"ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"},
			"Resource": []string{
				ec2 + "instance/*", ec2 + "volume/*", ec2 + "network-interface/*", ec2 + "spot-instances-request/*", ec2 + "fleet/*", ec2 + "launch-template/*",
			},
			"Condition": tagged("RequestTag"),
		},
		{
			"Sid": "LaunchFromTemplate", "Effect": "Allow", "Action": []string{"ec2:RunInstances", "ec2:CreateFleet"},
			"Resource": []string{ec2 + "launch-template/*"}, "Condition": tagged("ResourceTag"),
		},
		{
			"Sid": "LaunchFromWhatIsThere", "Effect": "Allow", "Action": []string{"ec2:RunInstances", "ec2:CreateFleet"},
			"Resource": []string{
				"arn:aws:ec2:*::image/*", ec2 + "image/*", "arn:aws:ec2:*::snapshot/*", ec2 + "subnet/*", ec2 + "security-group/*", ec2 + "capacity-reservation/*",
			},
		},
		{
			"Sid": "TagAtLaunch", "Effect": "Allow", "Action": []string{"ec2:CreateTags"}, "Resource": []string{ec2 + "*"},
			"Condition": object{"StringEquals": object{"ec2:CreateAction": []string{"RunInstances", "CreateFleet", "CreateLaunchTemplate"}}},
		},
		{
			"Sid": "OwnAlone", "Effect": "Allow", "Action": []string{"ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"},
			"Resource": []string{ec2 + "instance/*", ec2 + "launch-template/*"}, "Condition": tagged("ResourceTag"),
		},
		{
			"Sid": "MarkOwnTemplates", "Effect": "Allow", "Action": []string{"ec2:CreateTags"}, "Resource": []string{ec2 + "launch-template/*"},
			"Condition": object{
				"StringEquals":              object{"aws:ResourceTag/" + tagInstallation: installation},
				"ForAllValues:StringEquals": object{"aws:TagKeys": []string{tagEnded}},
			},
		},
		{
			"Sid": "RoleOfMachines", "Effect": "Allow", "Action": []string{"iam:PassRole"}, "Resource": []string{"arn:aws:iam::ACCOUNT:role/ROLE_OF_MACHINES"},
			"Condition": object{"StringEquals": object{"iam:PassedToService": "ec2.amazonaws.com"}},
		},
		{
			"Sid": "Events", "Effect": "Allow", "Action": []string{"sqs:ReceiveMessage", "sqs:DeleteMessage"}, "Resource": []string{"arn:aws:sqs:*:ACCOUNT:QUEUE"},
		},
	}})
}

// Events are the rules of EventBridge that the operator installs in each region, with the
// queue as their target, and the queue's policy, which lets them write to it.
func Events() ([]byte, error) {
	return document(object{
		"Rules": []object{
			{"Name": "purser-warnings", "EventPattern": object{"source": []string{"aws.ec2"}, "detail-type": []string{eventSpot, eventRebalance, eventReservation}}},
			{"Name": "purser-states", "EventPattern": object{"source": []string{"aws.ec2"}, "detail-type": []string{eventState}, "detail": object{"state": ending}}},
			{"Name": "purser-health", "EventPattern": object{
				"source": []string{"aws.health"}, "detail-type": []string{eventHealth},
				"detail": object{"service": []string{"EC2"}, "eventTypeCategory": []string{"scheduledChange"}},
			}},
		},
		"QueuePolicy": object{"Version": "2012-10-17", "Statement": []object{{
			"Sid": "EventBridge", "Effect": "Allow", "Principal": object{"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
			"Resource": "arn:aws:sqs:REGION:ACCOUNT:QUEUE", "Condition": object{"ArnLike": object{"aws:SourceArn": "arn:aws:events:REGION:ACCOUNT:rule/purser-*"}},
		}}},
	})
}

func document(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
