// Package server serves connections and datagrams on event loops.
//
// A Server is used in one of two ways. With Events it calls callbacks on the loop
// of a connection, which must not block: a connection costs no goroutine. With a
// Handler it calls blocking code, on a goroutine that a connection has only while
// there is something to read.
//
//	srv := &server.Server{Handler: func(s *server.Session) error {
//		line, err := s.ReadLine()
//		if err != nil {
//			return err
//		}
//		_, err = s.WriteLine(line)
//		return err
//	}}
//	log.Fatal(srv.ListenAndServe("tcp", "localhost:7000"))
//
// One Server may have many listeners, and with a Service for each serve several
// protocols. Dial, DialPackets and Attach serve connections that the program has
// made or taken over. Inherit and Handover pass listeners from one process to the
// next, and Shutdown ends a Server in good order.
package server
