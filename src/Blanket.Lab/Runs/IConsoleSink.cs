using System;
using System.Threading.Tasks;

namespace Blanket.Lab.Runs;

/// <summary>Takes what comes from one line of the machine; called one piece after the other.</summary>
public interface IConsoleSink
{
    /// <summary>Takes bytes; valid during the call only.</summary>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes);
}
