#!/usr/bin/env weir-lisp
; A WebSocket server, by RFC 6455: it sends each message back. A class makes frames
; of what a socket carries.
;
;   weir-lisp websocket.lisp [ADDRESS [PORT]]     (127.0.0.1 and 7010)

(setq longest-message 1048576)

(setq end 8 ping 9 pong 10) ; kinds of frames, beside messages and their parts

; A websocket is the socket that listens, and so is each connection that it accepts.
(defclass websocket socket)

(defmethod websocket-constructor (self address port)
  (and (socket-constructor self 'inet 'stream 0 'address address 'port port 'reuseaddress t)
       (not (listen self 128))
       (destroy-instance self)))

; read-headers returns a table of a request's headers, by names in small letters.
(defmethod websocket-read-headers (self)
  (let ((headers (make-hash-table)) (line nil) (parts nil))
    (while (and (setq line (read-line self)) (not (string= line "")))
      (setq parts (regexp-match "^([^:]+):\\s*(.*)$" line))
      (when parts
        (puthash (downcase (cadr parts)) (caddr parts) headers)))
    headers))

; handshake answers the request that begins a connection. It returns nil if that is
; none for a WebSocket.
(defmethod websocket-handshake (self)
  (let ((key (gethash "sec-websocket-key" (read-headers self))))
    (if (not key)
        (progn (write-string self "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") nil)
      (write-string self (concat "HTTP/1.1 101 Switching Protocols\r\n"
                                 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: "
                                 (base64-encode (sha1 (concat key "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
                                 "\r\n\r\n")))))

; read-bytes returns a binary of so many bytes, or throws to closed.
(defmethod websocket-read-bytes (self size)
  (let ((all (make-binary 0)) (part nil) (n 0))
    (while (< (length all) size)
      (setq part (make-binary (- size (length all))))
      (unless (setq n (fread self part)) (throw 'closed nil))
      (setq all (binary-append all (binary-slice part 0 n))))
    all))

; read-frame returns the list (KIND BYTES LAST) of a frame, its mask taken off.
(defmethod websocket-read-frame (self)
  (let* ((head (read-bytes self 2))
         (short (logand 127 (byte head 1)))
         (size (cond ((= short 126) (binary-integer (read-bytes self 2) 0 2))
                     ((= short 127) (binary-integer (read-bytes self 8) 0 8))
                     (t short))))
    (unless (and (<= 0 size longest-message) (= 128 (logand 128 (byte head 1))))
      (throw 'closed nil))
    (let ((mask (read-bytes self 4)) (bytes (read-bytes self size)))
      (dotimes (i size)
        (set-byte bytes i (logxor (byte bytes i) (byte mask (mod i 4)))))
      (list (logand 15 (byte head 0)) bytes (= 128 (logand 128 (byte head 0)))))))

(defmethod websocket-write-frame (self kind bytes)
  (let* ((size (length bytes))
         (head (make-binary (cond ((< size 126) 2) ((< size 65536) 4) (t 10)))))
    (set-byte head 0 (logior 128 kind))
    (cond ((< size 126) (set-byte head 1 size))
          ((< size 65536) (set-byte head 1 126) (set-binary-integer head 2 2 size))
          (t (set-byte head 1 127) (set-binary-integer head 2 8 size)))
    (fwrite self (binary-append head bytes))))

; serve sends messages back until the client closes, or sends what it may not.
(defun serve (client)
  (unwind-protect
      (catch 'closed
        (unless (handshake client) (throw 'closed nil))
        (let ((frame nil) (kind nil) (message nil))
          (while t
            (setq frame (read-frame client))
            (cond ((= (car frame) ping) (write-frame client pong (cadr frame)))
                  ((= (car frame) pong) nil)
                  ((= (car frame) end)
                   (write-frame client end (cadr frame))
                   (throw 'closed nil))
                  (t
                   (if (= (car frame) 0)
                       (setq message (binary-append (or message (throw 'closed nil)) (cadr frame)))
                     (setq kind (car frame) message (cadr frame)))
                   (when (> (length message) longest-message) (throw 'closed nil))
                   (when (caddr frame)
                     (write-frame client kind message)
                     (setq message nil)))))))
    (destroy-instance client)))

(defun main (address port)
  (let ((l (make-instance websocket address port)))
    (unless (and l (not (eof l)))
      (princ (format "websocket: %s port %d: %s\n" address port *lastsocketerror*))
      (exit 1))
    (princ (format "listening on %s:%d\n" (get l 'address) (get l 'port)))
    (while t
      (let ((client (accept l)))
        (if client
            (progn (setsockopt client nil 'SO_RCVTIMEO 60000)
                   (thread (serve client)))
          (princ (format "accept: %s\n" *lastsocketerror*))
          (setq *lastsocketerror* nil)
          (sleep 100))))))

(main (or (car *args*) "127.0.0.1")
      (string-to-number (or (cadr *args*) "7010")))
