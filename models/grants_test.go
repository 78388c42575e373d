package models

import (
	"slices"
	"testing"
)

func flag(b bool) *bool { return &b }

func TestAskingForMoreThanThePolicyNamesEachGrant(t *testing.T) {
	most := VideoGrants{RoomJoin: flag(true), CanSubscribe: flag(true), CanPublish: flag(false), CanPublishData: flag(false)}
	asked := VideoGrants{RoomJoin: flag(true), RoomAdmin: flag(true), CanPublish: flag(true), Hidden: flag(true)}.Within(most)
	over := asked.Exceeding(most)
	if !slices.Equal(over, []string{"roomAdmin", "canPublish", "hidden"}) {
		t.Errorf("exceeding: %v", over)
	}
}

func TestAnUnsetPublishGrantCountsAsTrueAsLiveKitReadsIt(t *testing.T) {
	most := VideoGrants{RoomJoin: flag(true), CanPublish: flag(false), CanSubscribe: flag(true), CanPublishData: flag(true)}
	over := VideoGrants{RoomJoin: flag(true)}.Exceeding(most)
	if !slices.Equal(over, []string{"canPublish"}) {
		t.Errorf("exceeding: %v", over)
	}
}

func TestPublishSourcesCannotBeWidened(t *testing.T) {
	most := VideoGrants{CanPublishSources: []string{"microphone"}}
	for _, asked := range []VideoGrants{{}, {CanPublishSources: []string{"microphone", "camera"}}} {
		if over := asked.Exceeding(most); !slices.Contains(over, "canPublishSources") {
			t.Errorf("%v was let through: %v", asked, over)
		}
	}
	if over := (VideoGrants{}).Within(most).Exceeding(most); len(over) != 0 {
		t.Errorf("asking for nothing gets the policy, not a refusal: %v", over)
	}
}

func TestAskingForOneGrantLeavesTheOthersAsTheyWere(t *testing.T) {
	got := VideoGrants{CanPublish: flag(false)}.Within(DefaultGrants())
	if *got.CanPublish || !*got.CanSubscribe || !*got.RoomJoin || !*got.CanPublishData {
		t.Errorf("got %+v", got)
	}
}
