#!/usr/bin/env weir-lisp
; A TCP proxy. Two threads serve each connection, one for each direction. When a
; side has sent all, the other learns of it, and can still answer.
;
;   weir-lisp proxy.lisp TARGET PORT [ADDRESS [PORT]]     (127.0.0.1 and 7009)

; pump sends what comes from one socket to the other, up to its end. It returns t
; if that was the end of the stream, and nil after an error.
(defun pump (from to)
  (let ((buffer (make-binary 16384)) (n 0))
    (while (and (integerp (setq n (recv from buffer)))
                (equal (fwrite to buffer n) n)))
    (and (eq n EOF)
         (null *lastsocketerror*)
         (shutdown to 'write))))

; serve connects to the target and pumps in both directions until both have ended.
(defun serve (client host port)
  (let ((server (make-instance socket 'inet 'stream 0)) (back nil))
    (unwind-protect
        (if (not (connect server host port))
            (princ (format "%s port %s: %s\n" host port *lastsocketerror*))
          (setq back (thread (or (pump server client) (destroy-instance client))))
          (or (pump client server) (destroy-instance server))
          (join back))
      (destroy-instance server)
      (destroy-instance client))))

(defun main (host port address own)
  (let ((l (make-instance socket 'inet 'stream 0 'address address 'port own 'reuseaddress t)))
    (unless (and l (listen l 128))
      (princ (format "proxy: %s port %d: %s\n" address own *lastsocketerror*))
      (exit 1))
    (princ (format "listening on %s:%d\n" (get l 'address) (get l 'port)))
    (while t
      (let ((client (accept l)))
        (if client
            (thread (serve client host port))
          (princ (format "accept: %s\n" *lastsocketerror*))
          (setq *lastsocketerror* nil)
          (sleep 100))))))

(when (null (cdr *args*))
  (princ "usage: weir-lisp proxy.lisp TARGET PORT [ADDRESS [PORT]]\n")
  (exit 2))
(main (car *args*) (cadr *args*)
      (or (caddr *args*) "127.0.0.1")
      (string-to-number (or (nth 3 *args*) "7009")))
