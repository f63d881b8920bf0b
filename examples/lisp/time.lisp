#!/usr/bin/env weir-lisp
; A time server over UDP, by RFC 868: it answers each datagram with the seconds
; since 1900, as an integer of 32 bits, the highest byte first.
;
;   weir-lisp time.lisp [ADDRESS [PORT]]     (127.0.0.1 and 7037; the real one has 37)
;   printf x | socat -t 1 - UDP:127.0.0.1:7037 | od -t u1

(setq from-1900-to-1970 2208988800)

(defun put-time (answer)
  (set-binary-integer answer 0 4 (logand 4294967295 (+ (truncate (float-time)) from-1900-to-1970))))

(defun main (address port)
  (let ((s (make-instance socket 'inet 'dgram 0 'address address 'port port))
        (question (make-binary 1)) ; what is in it does not matter
        (answer (make-binary 4)))
    (unless s
      (princ (format "time: %s port %d: %s\n" address port *lastsocketerror*))
      (exit 1))
    (princ (format "listening on %s:%d\n" (get s 'address) (get s 'port)))
    (unwind-protect
        (while t
          (cond ((recv-from s question)
                 (put-time answer)
                 (send-to s answer (get s 'remoteaddress) (get s 'remoteport) 'flags MSG_DONTWAIT))
                (t
                 (princ (format "time: %s\n" *lastsocketerror*))
                 (setq *lastsocketerror* nil)
                 (sleep 100))))
      (destroy-instance s))))

(main (or (car *args*) "127.0.0.1")
      (string-to-number (or (cadr *args*) "7037")))
