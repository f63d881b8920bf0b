#!/usr/bin/env weir-lisp
; An HTTP client that asks for the head of a page, and prints it.
;
;   weir-lisp head.lisp HOST [PORT [PATH]]     (80 and /)

(defun fail (what)
  (princ (format "head: %s: %s\n" what (or *lastsocketerror* "the connection has ended")))
  (exit 1))

(defun head (host port path)
  (let ((s (or (make-instance socket 'inet 'stream 0) (fail "socket")))
        (line nil))
    (unwind-protect
        (progn
          (setsockopt s nil 'SO_SNDTIMEO 10000) ; for connect, too
          (setsockopt s nil 'SO_RCVTIMEO 10000)
          (unless (connect s host port) (fail host))
          (write-line s (format "HEAD %s HTTP/1.1\r" path))
          (write-line s (format "Host: %s\r" host))
          (write-line s "Connection: close\r")
          (unless (write-line s "\r") (fail "write"))
          (while (not (equal (setq line (read-line s)) ""))
            (unless line (fail "read"))
            (princ (concat line "\n"))))
      (destroy-instance s))))

(when (null *args*)
  (princ "usage: weir-lisp head.lisp HOST [PORT [PATH]]\n")
  (exit 2))
(head (car *args*)
      (or (cadr *args*) 'http)
      (or (caddr *args*) "/"))
