#!/usr/bin/env weir-lisp
; A chat server. One thread serves all clients: select waits for whatever any of
; them sends.
;
;   weir-lisp chat.lisp [ADDRESS [PORT]]     (127.0.0.1 and 7008)
;   nc 127.0.0.1 7008
;
; The first line that a client sends is its name; /who lists the names, /quit
; leaves.

(setq most-clients 1000
      longest-line 1000
      clients nil)

; A room is a socket that listens. What it accepts is of its class, too: a client
; has a name, and the pending part of a line whose end has not come yet.
(defclass room socket name (pending ""))

(defmethod room-constructor (self address port)
  (and (socket-constructor self 'inet 'stream 0 'address address 'port port 'reuseaddress t)
       (not (listen self 128))
       (destroy-instance self)))

(defun main (address port)
  (let ((listener (make-instance room address port)))
    (unless (and listener (not (eof listener)))
      (princ (format "chat: %s port %d: %s\n" address port *lastsocketerror*))
      (exit 1))
    (princ (format "listening on %s:%d\n" (get listener 'address) (get listener 'port)))
    (unwind-protect
        (while t
          (dolist (s (car (select (cons listener clients))))
            (if (eq s listener)
                (welcome (accept listener))
              (hear s))))
      (mapcar destroy-instance (cons listener clients)))))

(defun welcome (client)
  (cond ((not client)
         ; Most likely there are no descriptors left. The connection stays in the
         ; queue, and the next try would fail at once.
         (princ (format "accept: %s\n" *lastsocketerror*))
         (setq *lastsocketerror* nil)
         (sleep 100))
        ((>= (length clients) most-clients)
         (tell client "Sorry, too many are here.")
         (destroy-instance client))
        (t
         ; What a client does not read takes no more than this of the kernel's memory.
         (setsockopt client nil 'SO_SNDBUF 65536)
         (push client clients)
         (tell client "What is your name?"))))

; hear reads what a client has sent, and obeys the lines that are complete. It does
; not wait, because select has said that there is something.
(defun hear (client)
  (let ((text (and (here client) (read-string client))))
    (if (not text)
        (leave client)
      (let ((lines (split-string (concat (get client 'pending) text) "\n")))
        (while (and (cdr lines) (here client))
          (obey client (string-trim (car lines)))
          (setq lines (cdr lines)))
        (put client 'pending (car lines))
        (when (> (length (car lines)) longest-line)
          (tell client "That line is too long.")
          (leave client))))))

(defun obey (client line)
  (let ((name (get client 'name)))
    (cond ((string= line "/quit") (leave client))
          ((string= line "/who") (tell client (string-join (sort (names) string<) ", ")))
          ((string= line "") nil)
          (name (tell-all (format "%s: %s" name line)))
          ((member line (names)) (tell client "That name is taken. What is yours?"))
          (t (put client 'name line)
             (tell-all (format "* %s has joined" line))))))

(defun here (client) (member client clients))

(defun names () (filter stringp (mapcar (lambda (c) (get c 'name)) clients)))

(defun leave (client)
  (when (here client)
    (setq clients (remove client clients))
    (let ((name (get client 'name)))
      (destroy-instance client)
      (when name (tell-all (format "* %s has left" name))))))

(defun tell-all (line)
  (dolist (c clients)
    (when (get c 'name) (tell c line))))

; tell never waits: a client that does not read has to leave.
(defun tell (client line)
  (let ((bytes (string-to-binary (concat line "\n"))))
    (unless (equal (send client bytes 'flags MSG_DONTWAIT) (length bytes))
      (setq *lastsocketerror* nil)
      (leave client))))

(main (or (car *args*) "127.0.0.1")
      (string-to-number (or (cadr *args*) "7008")))
