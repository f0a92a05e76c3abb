using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using System.Threading.Tasks;
using Blanket.Cli.Benchmarks;
using Blanket.Lab.Bench;

namespace Blanket.Cli.Tests;

public sealed class BenchTests
{
    [Fact]
    public void OutputIsReadToItsEnd()
    {
        BenchOutput output = new();
        foreach (string line in new[] { "[    0.1] Linux", "bench: getpid 321", "bench: fork x", "bench: fork", "bench: stat -1" })
        {
            output.Add(line);
        }

        Assert.False(output.IsOver);
        output.Add("bench: done");
        Assert.True(output.IsDone);
        Assert.Equal([new KeyValuePair<string, long>("getpid", 321)], output.Values);
    }

    [Fact]
    public void OutputTellsFailure()
    {
        BenchOutput output = new();
        output.Add("bench: failed: no disk: No such file or directory");
        Assert.True(output.IsOver);
        Assert.False(output.IsDone);
        Assert.Equal("no disk: No such file or directory", output.Failure);
    }

    [Theory]
    [InlineData(100L, 300L, 200L, 0.5)]
    [InlineData(100L, 300L, 100L, 0.0)]
    [InlineData(100L, 100L, 100L, null)]
    [InlineData(100L, null, 200L, null)]
    [InlineData(null, 300L, 200L, null)]
    public void ShareIsOfWhatTheRivalAdds(long? native, long? xen, long? blanket, double? expected) =>
        Assert.Equal(expected, new BenchResult(BenchRow.All[0], native, xen, blanket).AddedShare);

    [Fact]
    public void JsonHasNullWhereABedDidNotRun()
    {
        BenchResult result = new(BenchRow.All[1], 321, null, 428);
        JsonNode row = JsonNode.Parse(BenchJson.Write([result], BenchRival.StockXen, countInstructions: true))!.AsArray().Single()!;
        Assert.Equal("getpid", (string?)row["name"]);
        Assert.Equal("instructions", (string?)row["unit"]);
        Assert.Equal(321, (long?)row["native"]);
        Assert.True(row.AsObject().ContainsKey("stock_xen"));
        Assert.Null(row["stock_xen"]);
        Assert.Equal(428, (long?)row["blanket"]);
    }

    [Fact]
    public void LayerTellsOfItselfInTheLog()
    {
        BenchOutput output = new();
        output.AddLog("guest says at_us=1 layer_kib=2");
        output.AddLog("blanket: event guest-start name=bench domid=1 at_us=290143 layer_kib=21504");
        Assert.Equal(290143, output.Values["layer_start"]);
        Assert.Equal(21504, output.Values["layer_memory"]);
        Assert.All(output.Values.Keys, name => Assert.NotNull(BenchRow.All.Single(row => row.Name == name).Unit));
    }

    [Theory]
    [InlineData('S', 100_000, 1)]
    [InlineData('R', 1, 1)]
    [InlineData('R', 100_000, 100_000)]
    public async Task PeerAnswersRequests(char kind, int size, int answer)
    {
        using BenchPeer peer = new();
        using TcpClient client = new();
        await client.ConnectAsync(System.Net.IPAddress.Loopback, peer.Port);
        byte[] request = new byte[9 + (kind == 'S' ? size : 0)];
        request[0] = (byte)kind;
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(request.AsSpan(1), size);
        await client.GetStream().WriteAsync(request);
        await client.GetStream().WriteAsync(request);
        await client.GetStream().ReadExactlyAsync(new byte[2 * answer]);
        Assert.False(client.GetStream().DataAvailable);
    }

    [Fact]
    public void RowNamesAreDistinct() =>
        Assert.Equal(BenchRow.All.Count, BenchRow.All.Select(row => row.Name).Distinct(StringComparer.Ordinal).Count());

    [Fact]
    public void ProgramPrintsEveryRow()
    {
        string source = System.Text.Encoding.UTF8.GetString(BenchResource.Read("bench.c"));
        foreach (BenchRow row in BenchRow.All.Where(row => row.Unit is null))
        {
            Assert.True(
                source.Contains($"\"{row.Name}\"", StringComparison.Ordinal) || source.Contains($"\"bench: {row.Name} ", StringComparison.Ordinal), row.Name);
        }
    }
}
