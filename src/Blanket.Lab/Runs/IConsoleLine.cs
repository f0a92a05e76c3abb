using System.IO;

namespace Blanket.Lab.Runs;

/// <summary>A line that several consoles share, where consoles come while it is read.</summary>
public interface IConsoleLine
{
    /// <summary>Has what comes from a port go to a sink from now on; the line waits for it.</summary>
    /// <param name="port">No port that the machine has from its start.</param>
    /// <param name="sink">Null to forget it.</param>
    public void Connect(uint port, IConsoleSink? sink);

    /// <summary>Takes what is typed to a port.</summary>
    public Stream Keys(uint port);
}
