using System.Collections.Generic;
using System.Linq;
using FsCheck.Xunit;

namespace Blanket.Backends.Tests;

/// <summary>Ports share an interface by bytes, whatever each has waiting; nothing is lost but what the fullest port has too much.</summary>
public sealed class FairQueueTests
{
    private const int Capacity = 128;
    private readonly NoSource _source = new();

    [Fact]
    public void Ports_take_turns_of_equal_bytes()
    {
        FairQueue queue = new(Capacity);
        for (int i = 0; i < 40; i++)
        {
            Add(queue, 3, 1500);
        }

        for (int i = 0; i < 80; i++)
        {
            Add(queue, 5, 500);
        }

        Dictionary<int, uint> sent = new() { [3] = 0, [5] = 0 };
        for (int i = 0; i < 60; i++)
        {
            Packet packet = Take(queue);
            sent[packet.Ingress] += packet.Length;
        }

        Assert.InRange((long)sent[3] - sent[5], -2 * FairQueue.Turn, 2 * FairQueue.Turn);
    }

    [Fact]
    public void A_port_that_has_little_waits_for_no_more_than_a_turn()
    {
        FairQueue queue = new(Capacity);
        for (int i = 0; i < Capacity - 1; i++)
        {
            Add(queue, 0, 1500);
        }

        Take(queue);
        Packet small = Add(queue, 63, 60);
        uint before = 0;
        for (Packet packet = Take(queue); packet != small; packet = Take(queue))
        {
            before += packet.Length;
        }

        Assert.InRange(before, 0u, (uint)FairQueue.Turn);
    }

    [Fact]
    public void A_full_queue_loses_what_the_fullest_port_has()
    {
        FairQueue queue = new(Capacity);
        for (int i = 0; i < Capacity; i++)
        {
            Add(queue, 7, 100);
        }

        Packet refused = NewPacket(7, 100);
        queue.Add(refused, out Packet? lost);
        Assert.Same(refused, lost);
        queue.Add(NewPacket(8, 100), out lost);
        Assert.Equal(7, lost!.Ingress);
        Assert.NotSame(refused, lost);
        int[] left = Drain(queue).Select(packet => packet.Ingress).ToArray();
        Assert.Equal(Capacity - 1, left.Count(port => port == 7));
        Assert.Equal(1, left.Count(port => port == 8));
    }

    /// <summary>Whatever is added and taken: each packet leaves once, by its turn or lost, and those of a port in their order.</summary>
    [Property]
    public void Nothing_is_lost_or_reordered((byte Port, ushort Length)[] steps)
    {
        const int ports = 4;
        FairQueue queue = new(8);
        Queue<Packet>[] model = [.. Enumerable.Range(0, ports).Select(_ => new Queue<Packet>())];
        foreach ((byte step, ushort length) in steps)
        {
            int port = step % (ports + 2);
            if (port < ports)
            {
                Packet packet = NewPacket(port, length);
                queue.Add(packet, out Packet? lost);
                if (lost != packet)
                {
                    model[port].Enqueue(packet);
                    Assert.True(lost == null || model[lost.Ingress].Dequeue() == lost);
                }
            }
            else if (!queue.IsEmpty)
            {
                Packet packet = Take(queue);
                Assert.Same(model[packet.Ingress].Dequeue(), packet);
            }
        }

        Assert.All(Drain(queue), packet => Assert.Same(model[packet.Ingress].Dequeue(), packet));
        Assert.All(model, Assert.Empty);
    }

    private static IEnumerable<Packet> Drain(FairQueue queue)
    {
        while (!queue.IsEmpty)
        {
            yield return Take(queue);
        }
    }

    private static Packet Take(FairQueue queue)
    {
        Packet packet = queue.Next();
        Assert.Same(packet, queue.Next());
        queue.RemoveNext();
        return packet;
    }

    private Packet Add(FairQueue queue, int port, uint length)
    {
        Packet packet = NewPacket(port, length);
        queue.Add(packet, out Packet? lost);
        Assert.Null(lost);
        return packet;
    }

    private Packet NewPacket(int port, uint length) => new(_source, 0, 1) { Ingress = port, Length = length };

    private sealed class NoSource : PacketSource
    {
        internal override bool MayWait => true;

        internal override void Released(Packet packet)
        {
        }
    }
}
