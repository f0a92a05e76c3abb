using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen.Io;
using Blanket.Drivers;
using FsCheck.Xunit;

namespace Blanket.Backends.Tests;

/// <summary>Random traffic between guests, honest and hostile, and an interface: what arrives was sent, and nothing is kept.</summary>
public sealed class VifPropertyTests
{
    [Property(MaxTest = 20)]
    public void What_arrives_was_sent_and_nothing_is_kept(int seed)
    {
        new Run(seed).Go();
    }

    private sealed class Run
    {
        private readonly Random _random;
        private readonly TestMachine _machine = new(4096);
        private readonly FakeNic _nic;
        private readonly List<TestGuest> _guests = new();
        private readonly List<VifDevice> _vifs = new();
        private readonly List<FakeNetfront> _fronts = new();
        private readonly HashSet<string> _sent = new();
        private byte _number;

        internal Run(int seed)
        {
            _random = new Random(seed);
            NetworkSwitch network = NetworkSwitch.Create(_machine.Host, (ulong)seed)!;
            _nic = new FakeNic(bufferSize: (uint)_random.Next(1530, 4097)) { Room = _random.Next(1, 60) };
            _nic.Settings.TransmitChecksum = _random.Next(2) == 0;
            _nic.Settings.TransmitTcpIpv4 = _nic.Settings.TransmitChecksum && _random.Next(2) == 0;
            _nic.Settings.TransmitTcpIpv6 = _nic.Settings.TransmitChecksum && _random.Next(2) == 0;
            Assert.Equal(0, network.CreateUplink(_nic));
            for (int i = 0; i < 3; i++)
            {
                TestGuest guest = _machine.CreateGuest((ushort)(i + 1), 2);
                VifSettings settings = new();
                Frames.Mac(i + 1).CopyTo(settings.Address);
                Assert.Equal(0, VifDevice.Create(_machine.Bus, _machine.Owner, guest.Domain, network, settings, out VifDevice? vif));
                _machine.Settle();
                FakeNetfront front = new(guest, 0);
                front.Connect(_random.Next(1, 3), _random.Next(2) == 0, _random.Next(3) != 0, _random.Next(60));
                _guests.Add(guest);
                _vifs.Add(vif!);
                _fronts.Add(front);
            }
        }

        internal void Go()
        {
            for (int step = 0; step < 200; step++)
            {
                FakeNetfront.Queue queue = RandomQueue(out int guest);
                switch (_random.Next(7))
                {
                    case 0:
                    case 1:
                        Put(queue, guest);
                        break;
                    case 2:
                        PutGarbage(queue, guest);
                        break;
                    case 3:
                        queue.Offer(_random.Next(40));
                        break;
                    case 4:
                        _nic.Finish(_random.Next(20));
                        break;
                    case 5:
                        Receive();
                        break;
                    default:
                        _machine.Now += (ulong)_random.Next(300_000_000);
                        _machine.Bus.Process();
                        break;
                }

                _machine.Settle();
                Check();
            }

            Finish();
        }

        private void Finish()
        {
            for (int i = 0; i < 200; i++)
            {
                _nic.Finish();
                _machine.Now += NetLimits.ReceivePatience;
                _machine.Bus.Process();
                _machine.Settle();
            }

            Check();
            Assert.Equal(64, _nic.BufferCount());
            for (int i = 0; i < 3; i++)
            {
                Assert.All(_fronts[i].Queues, queue => Assert.Equal(0, queue.Sending));
                Assert.Equal(_fronts[i].Queues.Count * 2, _guests[i].PinCount);
                _vifs[i].Destroy();
            }

            _machine.Settle();
            Assert.Equal(3, _machine.Owner.Gone.Count);
            Assert.All(_guests, guest => Assert.Equal(0, guest.PinCount + guest.BoundPorts));
        }

        private FakeNetfront.Queue RandomQueue(out int guest)
        {
            guest = _random.Next(3);
            return _fronts[guest].Queues[_random.Next(_fronts[guest].Queues.Count)];
        }

        private byte[] RandomTarget(int self) => _random.Next(8) == 0 ? Frames.Broadcast : Frames.Mac((self + _random.Next(1, 4)) % 4 == 0 ? 77 : (self + _random.Next(1, 4)) % 4);

        private void Put(FakeNetfront.Queue queue, int guest)
        {
            for (int i = _random.Next(1, 6); i > 0 && queue.Transmit.Free > 40; i--)
            {
                byte[] target = RandomTarget(guest + 1);
                bool isTcp = _random.Next(2) == 0;
                bool ipv6 = _random.Next(2) == 0;
                if (isTcp && _random.Next(2) == 0)
                {
                    int size = _random.Next(700, 1400);
                    byte[] packet = Mark(Frames.Tcp(target, Frames.Mac(guest + 1), _random.Next(0, 30000), ipv6, partial: true));
                    NetifExtraInfo large = new() { Type = Netif.ExtraGso, GsoSize = (ushort)size, GsoType = ipv6 ? Netif.GsoTcpIpv6 : Netif.GsoTcpIpv4 };
                    Note(packet);
                    Note(Finished(packet));
                    Frames.Segment(packet, size).ForEach(Note);
                    queue.Put(packet, NetifTransmitFlags.ChecksumBlank, large, 4096, _random.Next(200));
                }
                else
                {
                    byte[] packet = isTcp
                        ? Mark(Frames.Tcp(target, Frames.Mac(guest + 1), _random.Next(0, 1400), ipv6, partial: true))
                        : Frames.Plain(target, Frames.Mac(guest + 1), _random.Next(60, 1514), _number++);
                    Note(packet);
                    if (isTcp)
                    {
                        Note(Finished(packet));
                    }

                    queue.Put(packet, isTcp ? NetifTransmitFlags.ChecksumBlank : 0, null, _random.Next(90, 4096), _random.Next(3000));
                }
            }

            queue.Transmit.Push();
        }

        /// <summary>Makes a packet's payload its own, and repairs nothing: the pseudo-header does not cover it.</summary>
        private byte[] Mark(byte[] packet)
        {
            packet[^1] ^= _number++;
            return packet;
        }

        private static byte[] Finished(byte[] packet) => Frames.Complete(packet, packet[12] == 8 ? 34 : 54, 16);

        private void PutGarbage(FakeNetfront.Queue queue, int guest)
        {
            if (queue.Transmit.Free < 20)
            {
                return;
            }

            ulong frame = _guests[guest].NewFrame();
            byte[] packet = Frames.Plain(RandomTarget(guest + 1), Frames.Mac(guest + 1), 1500, _number++);
            packet.CopyTo(Blanket.Machine.PhysicalMemory.Frame(frame));
            ushort size = (ushort)_random.Next(1, 70000);
            ushort offset = (ushort)(_random.Next(2) == 0 ? _random.Next(1, 65536) : 4096 - _random.Next(20));
            NetifTransmitFlags flags = (NetifTransmitFlags)_random.Next(4) | (_random.Next(3) == 0 ? NetifTransmitFlags.ExtraInfo : 0);
            if (size <= 4096 - offset && size >= 14)
            {
                // This one would be sent.
                size = 13;
            }

            queue.PutSlot(_guests[guest].Grant(frame, true), frame, offset, flags, size);
            if ((flags & NetifTransmitFlags.ExtraInfo) != 0)
            {
                queue.PutExtra(new NetifExtraInfo { Type = (byte)_random.Next(7), GsoSize = (ushort)_random.Next(3), GsoType = (byte)_random.Next(4) });
            }

            queue.Transmit.Push();
        }

        private void Receive()
        {
            for (int i = _random.Next(1, 10); i > 0; i--)
            {
                byte[] packet = Frames.Plain(RandomTarget(0), Frames.Mac(77), _random.Next(60, 1514), _number++);
                Note(packet);
                _nic.Receive(packet, firstOffset: (uint)_random.Next(16), end: i == 1);
            }
        }

        private void Note(byte[] packet) => _sent.Add(Convert.ToBase64String(packet));

        private void Check()
        {
            foreach (SentPacket packet in _nic.Sent)
            {
                bool isPartial = packet.Offload.NeedsChecksum && packet.Offload.Segmentation == SegmentationType.None;
                Assert.Contains(Convert.ToBase64String(isPartial ? Finished(packet.Bytes) : packet.Bytes), _sent);
            }

            _nic.Sent.Clear();
            foreach (FakeNetfront.Queue queue in _fronts.SelectMany(front => front.Queues))
            {
                queue.TakeAnswers();
                foreach (ReceivedPacket packet in queue.Take())
                {
                    Assert.False(packet.HasError);
                    bool isPartial = (packet.Flags & NetifReceiveFlags.ChecksumBlank) != 0 && packet.Large == null;
                    Assert.Contains(Convert.ToBase64String(isPartial ? Finished(packet.Bytes) : packet.Bytes), _sent);
                }
            }
        }
    }
}
