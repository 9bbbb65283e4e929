/* SPDX-License-Identifier: MIT */
/*
 * The dumbbell of bench/lab in ns-3 (Debian: libns3-dev), for its speed: `flows` pairs of hosts, a bottleneck of
 * 100 Mbit/s and 20 ms with a queue of one bandwidth-delay product, CUBIC with SACK, window scaling and
 * timestamps, segments of 1448 bytes, 60 s. Prints the TCP segments that its hosts sent, and its CPU time.
 *
 *     bench/lab --ns3      builds and runs it
 */
#include <cstdio>
#include <cstdlib>
#include <sys/resource.h>

#include <ns3/applications-module.h>
#include <ns3/core-module.h>
#include <ns3/internet-module.h>
#include <ns3/network-module.h>
#include <ns3/point-to-point-layout-module.h>
#include <ns3/point-to-point-module.h>
#include <ns3/traffic-control-module.h>

using namespace ns3;

static uint64_t segments;

static void on_sent(Ptr<const Packet>, Ptr<Ipv4>, uint32_t)
{
    segments++;
}

int main(int argc, char **argv)
{
    const uint32_t flows = argc > 1 ? static_cast<uint32_t>(atoi(argv[1])) : 1;
    const double seconds = argc > 2 ? atof(argv[2]) : 60;
    Config::SetDefault("ns3::TcpL4Protocol::SocketType", StringValue("ns3::TcpCubic"));
    Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
    Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(4 << 20));
    Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(6 << 20));
    Config::SetDefault("ns3::TcpSocket::InitialCwnd", UintegerValue(10));

    PointToPointHelper access, bottleneck;
    access.SetDeviceAttribute("DataRate", StringValue("10Gbps"));
    access.SetChannelAttribute("Delay", StringValue("0ms"));
    bottleneck.SetDeviceAttribute("DataRate", StringValue("100Mbps"));
    bottleneck.SetChannelAttribute("Delay", StringValue("10ms"));
    bottleneck.SetQueue("ns3::DropTailQueue", "MaxSize", StringValue("167p"));
    PointToPointDumbbellHelper dumbbell(flows, access, flows, access, bottleneck);
    InternetStackHelper stack;
    dumbbell.InstallStack(stack);
    dumbbell.AssignIpv4Addresses(Ipv4AddressHelper("10.1.0.0", "255.255.255.0"),
                                 Ipv4AddressHelper("10.2.0.0", "255.255.255.0"),
                                 Ipv4AddressHelper("10.3.0.0", "255.255.255.0"));
    TrafficControlHelper().Uninstall(dumbbell.GetLeft()->GetDevice(0));
    Ipv4GlobalRoutingHelper::PopulateRoutingTables();

    for (uint32_t i = 0; i < flows; i++) {
        BulkSendHelper sender("ns3::TcpSocketFactory",
                              InetSocketAddress(dumbbell.GetRightIpv4Address(i), 5000));
        PacketSinkHelper sink("ns3::TcpSocketFactory",
                              InetSocketAddress(Ipv4Address::GetAny(), 5000));
        sender.Install(dumbbell.GetLeft(i)).Start(Seconds(0));
        sink.Install(dumbbell.GetRight(i)).Start(Seconds(0));
        for (Ptr<Node> node : {dumbbell.GetLeft(i), dumbbell.GetRight(i)})
            node->GetObject<Ipv4L3Protocol>()->TraceConnectWithoutContext("Tx", MakeCallback(&on_sent));
    }
    rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    Simulator::Stop(Seconds(seconds));
    Simulator::Run();
    getrusage(RUSAGE_SELF, &after);
    const auto spent = [](const rusage &r) {
        return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
               static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
    };
    printf("%llu %.6f\n", static_cast<unsigned long long>(segments), spent(after) - spent(before));
    Simulator::Destroy();
    return 0;
}
