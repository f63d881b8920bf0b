package oracle

// tables has all scenarios. Each subject has a table.
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
