# SPDX-License-Identifier: MIT
# A line server and its client in Perl: buffered handles on sockets, select(), alarm(), fork for a connection.
#
#   lines.pl select PORT          one process serves all with select()
#   lines.pl fork PORT            a process for each connection, handles as standard input and output
#   lines.pl client HOST PORT     does the work below and prints a line for each part
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use Errno qw(EAGAIN EWOULDBLOCK ECONNREFUSED EINTR);
use IO::Select;
use IO::Socket::IP;
use Socket qw(IPPROTO_TCP SOL_SOCKET SO_LINGER SO_RCVBUF SO_KEEPALIVE TCP_NODELAY unpack_sockaddr_in);

sub listener {
    my ($port) = @_;
    IO::Socket::IP->new(LocalHost => '::', LocalPort => $port, Listen => 64, ReuseAddr => 1, V6Only => 0)
        or die "listen: $@";
}

# The answer to a line is its length and hash.
sub answer {
    my ($line) = @_;
    chomp $line;
    length($line) . ' ' . sha256_hex($line) . "\n";
}

sub serve_select {
    my $listener = listener(shift);
    my $all = IO::Select->new($listener);
    my %text;
    $SIG{TERM} = sub { exit 0 };
    while (1) {
        for my $ready ($all->can_read) {
            if ($ready == $listener) {
                my $conn = $listener->accept;
                $conn->blocking(0);
                $all->add($conn);
                $text{$conn} = '';
                next;
            }
            my $got = sysread $ready, $text{$ready}, 65536, length $text{$ready};
            next if !defined $got && ($! == EAGAIN || $! == EINTR);
            while ($text{$ready} =~ s/^([^\n]*\n)//) {
                syswrite $ready, answer($1); # short: it fits
            }
            if (!$got) {
                $all->remove($ready);
                delete $text{$ready};
                close $ready;
            }
        }
    }
}

sub serve_fork {
    my $listener = listener(shift);
    $SIG{CHLD} = 'IGNORE';
    $SIG{TERM} = sub { exit 0 };
    while (1) {
        my $conn = $listener->accept or next;
        if (fork == 0) {
            open STDIN, '<&', $conn;
            open STDOUT, '>&', $conn;
            close $conn;
            $| = 1;
            print answer($_) while <STDIN>;
            exit 0;
        }
        close $conn;
    }
}

sub dial {
    my ($host, $port, %more) = @_;
    IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, %more);
}

sub client {
    my ($host, $port) = @_;
    # With Timeout: connect() on a non-blocking socket, then select() and connect() again.
    my @conns = map { dial($host, $port, Timeout => 5) or die "connect: $@" } 1 .. 60;
    my @lines = map { 'line ' x $_ } 1 .. 60;
    print {$conns[$_]} "$lines[$_]\n" for 0 .. $#conns;
    $_->flush for @conns;
    my $good = grep { readline($conns[$_]) eq answer($lines[$_]) } 0 .. $#conns;
    print "at once $good\n";

    my $conn = $conns[0];
    setsockopt $conn, SOL_SOCKET, SO_KEEPALIVE, 1;
    setsockopt $conn, IPPROTO_TCP, TCP_NODELAY, 1;
    print 'options ', (unpack('i', getsockopt $conn, SOL_SOCKET, SO_KEEPALIVE)),
        (unpack('i', getsockopt $conn, IPPROTO_TCP, TCP_NODELAY)), "\n";
    print 'peer ', $conn->peerport, ' ', ($conn->sockhost eq $conn->peerhost || $conn->sockhost ne ''), "\n";

    my $long = 'x' x 2_000_000;
    print {$conn} "$long\n";
    $conn->flush;
    print 'long ', (readline($conn) eq answer($long) ? 'good' : 'bad'), "\n";

    eval {
        local $SIG{ALRM} = sub { die "alarm\n" };
        Time::HiRes::ualarm(50_000);
        sysread $conn, my $none, 1;
        die "read returned\n";
    };
    print "interrupted by $@";
    print 'nothing yet ', (IO::Select->new(@conns)->can_read(0) || 0), "\n";

    shutdown $conn, 1;
    my $end = readline $conn;
    print 'end ', (defined $end ? 'of a line' : 'of file'), "\n";
    # A write to a connection whose other end has gone: SIGPIPE, or EPIPE where it is ignored.
    $SIG{PIPE} = 'IGNORE';
    syswrite $conn, 'x';
    print 'write after shutdown ', ($!{EPIPE} ? 'EPIPE' : $!), "\n";
    close $_ for @conns;
    print 'refused ', (dial($host, 1) ? 'no' : $! == ECONNREFUSED ? 'yes' : $!), "\n";
    print 'refused ', (dial($host, 1, Timeout => 2) ? 'no' : $! == ECONNREFUSED ? 'yes' : $!), "\n";
}

use Time::HiRes;
my ($what, @words) = @ARGV;
$what eq 'select' ? serve_select(@words) : $what eq 'fork' ? serve_fork(@words) : client(@words);
