"""`feierabend doctor`: one probe by our own wire, one by the vendor's library, and what follows from both answers.

    probe.py     configuration, credentials, clock, DNS, TCP, proxy, TLS, SETTINGS, access token, answer: step by step
    steps.py     what a step tells, and how it fails
    library.py   aioapns or pyfcm as shipped, in a process of its own; knows nothing of the relay
    second.py    asks that process
    words.py     what a step or an answer means, in words for who operates the relay
    verdict.py   whose fault it is: the same from both is credentials or network; another from the library is our wire
    examine.py   all of that, in this order

Nothing is booked, and no relay need run. FCM is asked for a dry run. APNs has none: without a token of the operator's a
made-up one is sent, which is no device's, so that "unknown device" is the answer of a lane in which all is well.
"""
