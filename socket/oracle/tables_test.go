package oracle

// tables is all scenarios, a table for each subject.
var tables = [][]scenario{
	timeoutScenarios,
	recvScenarios,
	zeroScenarios,
	urgentScenarios,
	acceptScenarios,
	connectScenarios,
	sendScenarios,
	resetScenarios,
	unconnectedScenarios,
	shutdownScenarios,
	datagramScenarios,
	closeScenarios,
	meetingScenarios,
	refusalScenarios,
	messageScenarios,
	batchScenarios,
	specialScenarios,
}
